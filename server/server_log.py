"""The lines of gunicorn, and of the server's own events, in the format of the application's.

The format is set by gunicorn.conf.py whenever that is loaded, so a reload changes it.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from gunicorn.glogging import Logger

_BOOT_FAILED = "Exception in worker process"

_events = logging.getLogger("server")


def use_handler(handler: logging.Handler, level: str) -> None:
    """Have all lines from now on written by a handler, those of events from a level on."""
    _events.handlers[:] = [handler]
    _events.setLevel(level)
    _events.propagate = False


def log_event(event: str, **fields: Any) -> None:
    """Log an event of the server."""
    _events.info(event, extra=fields)


class ServerLog(Logger):  # type: ignore[misc]
    """gunicorn's logger; a line of its own is a `message`."""

    def setup(self, cfg: Any) -> None:
        """Set the format of the application's lines, wherever the lines go."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(_events.handlers[0].formatter)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log an exception without its text, which could contain a part of a request, unless none was there yet."""
        if msg == _BOOT_FAILED:
            msg, args = f"{msg}: %s", (*args, sys.exc_info()[1])
        super().exception(msg, *args, **kwargs)
