"""Log an event with its fields in few calls, for lines that each request writes."""

from __future__ import annotations

import logging
import time
from typing import Any

_BLANK = vars(logging.makeLogRecord({}))


class _EventRecord(logging.LogRecord):
    """A record without the source line, thread and process that LogRecord's constructor collects."""

    def __init__(self, name: str, event: str, fields: dict[str, Any]) -> None:
        created = time.time()
        # Also as attributes, for handlers that a site may add.
        self.__dict__.update(_BLANK, **fields)
        self.name = name
        self.msg = event
        self.levelno, self.levelname = logging.INFO, "INFO"
        self.created = created
        self.msecs = created % 1 * 1000
        self.fields = {name: value for name, value in fields.items() if value is not None}


def log_event(logger: logging.Logger, event: str, fields: dict[str, Any]) -> None:
    """Log an event as INFO. The caller must have checked that the level is enabled. Fields of None are left out."""
    logger.handle(_EventRecord(logger.name, event, fields))
