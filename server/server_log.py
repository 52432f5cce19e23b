"""Log lines of gunicorn, and of the server's own events, in the format of the application's lines.

gunicorn.conf.py sets the format each time it is loaded, so a reload can change it.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from gunicorn.glogging import Logger

_BOOT_FAILED = "Exception in worker process"

_events = logging.getLogger("server")


def use_handler(handler: logging.Handler, level: str) -> None:
    """Write all further lines with a handler. Events below the level are not logged."""
    _events.handlers[:] = [handler]
    _events.setLevel(level)
    _events.propagate = False


def log_event(event: str, **fields: Any) -> None:
    """Log an event of the server."""
    _events.info(event, extra=fields)


class ServerLog(Logger):  # type: ignore[misc]
    """gunicorn's logger. Lines of gunicorn itself are events named `message`."""

    def setup(self, cfg: Any) -> None:
        """Format gunicorn's lines like the application's, for every output."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(_events.handlers[0].formatter)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log an exception. Its text is omitted, as it could contain a part of a request, except during the boot."""
        if msg == _BOOT_FAILED:
            msg, args = f"{msg}: %s", (*args, sys.exc_info()[1])
        super().exception(msg, *args, **kwargs)
