"""Write one line for each log event, `name key=value …`, with metadata only."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from functools import lru_cache

_NUMBERS = (int, float, bool)
# Text that is written as it is, as most of it is: see _format_value() for the rest.
_is_plain = re.compile(r"[!#-~]{1,500}").fullmatch
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """Formats lines such as `2026-11-20T16:00:00.123Z INFO call request_id=… model=…`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line; values with spaces or quotes are quoted."""
        parts = [
            f"{_second_of(int(record.created))}.{int(record.msecs):03d}Z",
            record.levelname,
            _sanitize(record.getMessage()),
        ]
        parts += [
            f"{name}={value if type(value) in _NUMBERS or _is_plain(str(value)) else _format_value(value)}"
            for name, value in record.__dict__.items()
            if name not in _STANDARD and value is not None
        ]
        if record.exc_info and record.exc_info[0] is not None:
            # Only its class: an exception's text can contain a prompt or a key.
            parts.append(f"exception={record.exc_info[0].__name__}")
        return " ".join(parts)


class _StandardError(logging.Handler):
    """Writes each line to standard error with one system call, so that lines need no lock.

    Without a lock no greenlet waits for another one's write, and a fork inherits no locked lock.
    """

    def createLock(self) -> None:  # noqa: N802
        """Create no lock."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and emit without the lock, which `logging.Handler` expects from Python 3.13 on."""
        passed = self.filter(record)
        if passed:
            self.emit(record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        with contextlib.suppress(OSError):  # standard error is closed; the request goes on
            os.write(2, f"{self.format(record)}\n".encode())


def configure_logging(level: str) -> None:
    """Log the events of `app` to standard error, and only warnings of the SDK, whose other lines contain URLs."""
    # These fields are not logged, so they are not collected; gunicorn's own lines have the process.
    logging.logThreads = logging.logMultiprocessing = False
    handler = _StandardError()
    handler.setFormatter(LineFormatter())
    root = logging.getLogger("app")
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False
    for name in ("openai", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)


@lru_cache(maxsize=2)
def _second_of(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def _format_value(value: object) -> str:
    text = _sanitize(str(value))
    return f'"{text}"' if " " in text or '"' in text or not text else text


def _sanitize(text: str) -> str:
    """Return one line of printable characters, so that no value can forge a line."""
    text = text[:500]
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "?" for char in text)
    return text.replace('"', "'")
