"""Where the lines of the log go, and which lines of other packages are among them."""

from __future__ import annotations

import logging
import os

from app.config.groups import LogSettings
from app.runtime.logs.lines import JsonFormatter, LineFormatter

# The SDK's other lines contain URLs, and at DEBUG level whole requests.
_ONLY_WARNINGS = ("openai", "httpx2", "httpcore2")


class StandardError(logging.Handler):
    """Writes each line to standard error with one system call, so that lines need no lock.

    Without a lock no greenlet waits for another one's write, and a fork inherits no locked lock.
    """

    def createLock(self) -> None:  # noqa: N802
        """Create no lock."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit without the lock, which `logging.Handler` expects from Python 3.13 on. Nobody adds a filter."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        assert self.formatter is not None
        try:  # noqa: SIM105  # suppress() takes three calls, and a request has two lines
            os.write(2, f"{self.formatter.format(record)}\n".encode())
        except OSError:
            pass  # standard error is closed; the request goes on


def make_handler(settings: LogSettings) -> logging.Handler:
    """Return what writes the lines, in the format of `LOG_FORMAT`."""
    handler = StandardError()
    kind = JsonFormatter if settings.form == "json" else LineFormatter
    handler.setFormatter(kind(with_priority=settings.with_priorities))
    return handler


def configure_logging(settings: LogSettings) -> None:
    """Log the events of `app` to standard error, and the warnings of all other packages as well."""
    # These fields are not logged, so they are not collected.
    logging.logThreads = logging.logMultiprocessing = False
    handler = make_handler(settings)
    root = logging.getLogger("app")
    root.handlers[:] = [handler]
    root.setLevel(settings.level)
    root.propagate = False
    for name in _ONLY_WARNINGS:
        logging.getLogger(name).setLevel(logging.WARNING)
