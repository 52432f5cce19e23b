"""Log an event with its fields, in few calls: for lines that are written with each request."""

from __future__ import annotations

import logging
import time
from typing import Any

_BLANK = vars(logging.makeLogRecord({}))


class _EventRecord(logging.LogRecord):
    """A record without what LogRecord's own constructor finds out of its place, thread and process."""

    def __init__(self, name: str, event: str, fields: dict[str, Any]) -> None:
        created = time.time()
        # Also as attributes, for handlers that others may add.
        self.__dict__.update(_BLANK, **fields)
        self.name = name
        self.msg = event
        self.levelno, self.levelname = logging.INFO, "INFO"
        self.created = created
        self.msecs = created % 1 * 1000
        self.fields = {name: value for name, value in fields.items() if value is not None}


def log_event(logger: logging.Logger, event: str, fields: dict[str, Any]) -> None:
    """Log an event as INFO; the caller has asked whether that level is on. Fields that are None are left out."""
    logger.handle(_EventRecord(logger.name, event, fields))
