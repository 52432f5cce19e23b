"""Log an event with its fields, in few calls: for lines that are written with each request."""

from __future__ import annotations

import logging
import time
from typing import Any

_BLANK = vars(logging.makeLogRecord({"levelno": logging.INFO, "levelname": "INFO"}))


class _EventRecord(logging.LogRecord):
    """A record without what LogRecord's own constructor finds out of its place, thread and process."""

    def __init__(self, name: str, event: str, fields: dict[str, Any]) -> None:
        created = time.time()
        self.__dict__ = {
            **_BLANK,
            **fields,  # also as attributes, for handlers that others may add
            "name": name,
            "msg": event,
            "created": created,
            "msecs": created % 1 * 1000,
            "fields": {name: value for name, value in fields.items() if value is not None},
        }


def log_event(logger: logging.Logger, event: str, fields: dict[str, Any]) -> None:
    """Log an event as INFO; the caller has asked whether that level is on. Fields that are None are left out."""
    logger.handle(_EventRecord(logger.name, event, fields))
