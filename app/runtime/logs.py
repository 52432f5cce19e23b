"""Logs: one line an event, `name key=value …`, metadata only."""

from __future__ import annotations

import contextlib
import logging
import os
import time

from app.openai_service import CallRecord

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

call_log = logging.getLogger("app.call")


class LineFormatter(logging.Formatter):
    """`2026-11-20T16:00:00.123Z INFO call request_id=… model=…`; values are quoted where they need it."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        parts = [f"{at}.{int(record.msecs):03d}Z", record.levelname, _line(record.getMessage())]
        parts += [
            f"{name}={_value(value)}"
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
    logging.logThreads = logging.logMultiprocessing = False
    handler = _StandardError()
    handler.setFormatter(LineFormatter())
    ours = logging.getLogger("app")
    ours.handlers[:] = [handler]
    ours.setLevel(level)
    ours.propagate = False
    for name in ("openai", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)


def log_call(record: CallRecord) -> None:
    """The listener that writes one line for each call."""
    if not call_log.isEnabledFor(logging.INFO):
        return
    usage = record.usage
    fields = {
        "request_id": record.request_id,
        "operation": record.operation,
        "model": record.model,
        "outcome": record.outcome,
        "attempts": record.attempts,
        "is_cached": record.is_cached or None,
        "models": ",".join(record.models) if len(record.models) > 1 else None,
        "trimmed": record.trimmed or None,
        "tool_calls": record.tool_calls or None,
        "finish_reason": record.finish_reason,
        "prompt_tokens": usage and usage.prompt_tokens,
        "completion_tokens": usage and usage.completion_tokens,
        "upstream_status": record.upstream_status,
        "upstream_code": record.upstream_code,
        "upstream_request_id": record.upstream_request_id,
        "first_token_ms": record.first_token_ms and round(record.first_token_ms, 1),
        "upstream_ms": round(record.upstream_ms, 1),
        "waited_ms": round(record.waited_ms, 1) if record.waited_ms else None,
        "total_ms": round(record.total_ms, 1),
    }
    # Without a look at the stack for where this is called from, which is always here.
    call_log.handle(call_log.makeRecord(call_log.name, logging.INFO, "", 0, "call", (), None, extra=fields))


def _value(value: object) -> str:
    text = _line(str(value))
    return f'"{text}"' if " " in text or '"' in text or not text else text


def _line(text: str) -> str:
    """One line of printable characters, so that no value can pass for another line."""
    text = text[:500]
    if not text.isprintable():
        text = "".join(char if char.isprintable() else "?" for char in text)
    return text.replace('"', "'")
