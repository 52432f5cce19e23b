"""Logs: one line an event, `name key=value …`, metadata only."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from functools import lru_cache

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """`2026-11-20T16:00:00.123Z INFO call request_id=… model=…`; values are quoted where they need it."""

    def format(self, record: logging.LogRecord) -> str:
        parts = [
            f"{_second_of(int(record.created))}.{int(record.msecs):03d}Z",
            record.levelname,
            _sanitize(record.getMessage()),
        ]
        parts += [
            f"{name}={_format_value(value)}"
            for name, value in record.__dict__.items()
            if name not in _STANDARD and value is not None
        ]
        if record.exc_info and record.exc_info[0] is not None:
            # The kind only: an exception's text can hold a prompt or a key.
            parts.append(f"exception={record.exc_info[0].__name__}")
        return " ".join(parts)


class _StandardError(logging.Handler):
    """Write each line to standard error with one system call, which needs no lock to keep lines apart.

    Without a lock no greenlet or thread waits for another one's write, and a fork inherits no lock that is held.
    """

    def createLock(self) -> None:  # noqa: N802
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and emit; `logging.Handler` would enter the lock, from Python 3.13 on without looking whether there is one."""
        passed = self.filter(record)
        if passed:
            self.emit(record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # nobody reads it any more; the answer matters more
            os.write(2, f"{self.format(record)}\n".encode())


def configure_logging(level: str) -> None:
    """Send our events to standard error. The SDK and its HTTP client stay silent: they log addresses."""
    # What no line says need not be found out for each.
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False
    handler = _StandardError()
    handler.setFormatter(LineFormatter())
    ours = logging.getLogger("app")
    ours.handlers[:] = [handler]
    ours.setLevel(level)
    ours.propagate = False
    for name in ("openai", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)


@lru_cache(maxsize=2)
def _second_of(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def _format_value(value: object) -> str:
    if type(value) in (int, float, bool):
        return str(value)
    text = _sanitize(str(value))
    return f'"{text}"' if " " in text or '"' in text or not text else text


def _sanitize(text: str) -> str:
    """One line of printable characters, so that no value can pass for another line."""
    text = text[:500]
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "?" for char in text)
    return text.replace('"', "'")
