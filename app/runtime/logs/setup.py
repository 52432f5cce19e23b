"""Configure logging: where lines are written to, and which lines of other packages are included."""

from __future__ import annotations

import logging
import os

from app.config.groups import LogSettings
from app.runtime.logs.lines import JsonFormatter, LineFormatter

# The SDK's other lines contain URLs, and at DEBUG level whole requests.
_ONLY_WARNINGS = ("openai", "httpx2", "httpcore2")


class StandardError(logging.Handler):
    """Writes each line to standard error with one system call, so no lock is needed.

    Without a lock, no greenlet waits for another one's write, and a fork cannot inherit a locked lock.
    """

    def createLock(self) -> None:  # noqa: N802
        """Create no lock."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit without the lock, which `logging.Handler` requires since Python 3.13. Filters are not supported."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as a line."""
        assert self.formatter is not None
        try:  # noqa: SIM105  # suppress() takes three calls, and each request writes two lines
            os.write(2, f"{self.formatter.format(record)}\n".encode())
        except OSError:
            pass  # standard error is closed; the request must not fail for that


def make_handler(settings: LogSettings) -> logging.Handler:
    """Return the handler that writes lines in the format of `LOG_FORMAT`."""
    handler = StandardError()
    kind = JsonFormatter if settings.form == "json" else LineFormatter
    handler.setFormatter(kind(with_priority=settings.with_priorities))
    return handler


def configure_logging(settings: LogSettings) -> None:
    """Log the events of `app` to standard error, and limit the SDK's loggers to warnings."""
    # These fields are not logged, so they are not collected.
    logging.logThreads = logging.logMultiprocessing = False
    handler = make_handler(settings)
    root = logging.getLogger("app")
    root.handlers[:] = [handler]
    root.setLevel(settings.level)
    root.propagate = False
    for name in _ONLY_WARNINGS:
        logging.getLogger(name).setLevel(logging.WARNING)
