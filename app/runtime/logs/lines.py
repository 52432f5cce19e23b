"""Format log lines: `time level event key=value …`, or the same as a JSON object."""

from __future__ import annotations

import logging
import re
import time
import traceback
from functools import lru_cache
from types import TracebackType
from typing import Any

import orjson

_NUMBERS = (int, float, bool)
_MAX_CHARS = 2000
_MAX_FRAMES = 12
_MAX_PLAIN_CHARS = 500
_PLAIN = bytes(set(range(0x20, 0x7F)) - set(b'"'))
_is_plain = re.compile(rf"[!#-~]{{1,{_MAX_PLAIN_CHARS}}}").fullmatch
_is_event = re.compile(r"[a-z_]+(?:\.[a-z_]+)*").fullmatch
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "fields"}
# Syslog priorities, which systemd's journal reads at the start of a line.
_PRIORITIES = {"CRITICAL": "<2>", "ERROR": "<3>", "WARNING": "<4>", "INFO": "<6>", "DEBUG": "<7>"}


class LineFormatter(logging.Formatter):
    """Formats lines such as `2026-11-20T16:00:00.123Z INFO call request_id=… model=…`.

    Args:
        with_priority: whether a line begins with its priority for the journal, such as `<6>`.
    """

    def __init__(self, *, with_priority: bool = False) -> None:
        super().__init__()
        self._priorities = _PRIORITIES if with_priority else {}

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line."""
        event, fields = read_event(record)
        second = int(record.created)
        at = f"{_format_second(second)}.{int((record.created - second) * 1000):03d}Z"
        line = self._write(at, record.levelname, event, fields)
        return self._priorities.get(record.levelname, "<5>") + line if self._priorities else line

    def _write(self, at: str, level: str, event: str, fields: dict[str, Any]) -> str:
        """Return a line. Values with spaces or quotes are quoted."""
        pairs = [f"{name}={value}" for name, value in fields.items()]
        text = " ".join(pairs)
        if not _are_plain(text, pairs):
            text = " ".join([f"{name}={_format_value(value)}" for name, value in fields.items()])
        return f"{at} {level} {event} {text}" if text else f"{at} {level} {event}"


class JsonFormatter(LineFormatter):
    """Formats lines as JSON objects, with `time`, `level` and `event` before the event's fields."""

    def _write(self, at: str, level: str, event: str, fields: dict[str, Any]) -> str:
        entry = {"time": at, "level": level, "event": event, **fields}
        try:
            line = orjson.dumps(entry).decode()
        except TypeError:  # a value that JSON does not have, or a lone surrogate
            line = "\n"
        if not line.isprintable() or len(line) > _MAX_CHARS:
            entry = {name: value if type(value) in _NUMBERS else _cut(value) for name, value in entry.items()}
            line = orjson.dumps(entry).decode()
        return line


def read_event(record: logging.LogRecord) -> tuple[str, dict[str, Any]]:
    """Return the event name of a record, and its fields; fields of None are left out.

    Lines of other packages are texts, not events: then the name is that of the package, and the text is a field.
    """
    fields = record.__dict__.get("fields")
    if fields is not None:
        return record.msg, fields
    fields = {
        name: value for name, value in record.__dict__.items() if name not in _STANDARD and value is not None
    }
    event = record.getMessage()
    if not _is_event(event):
        fields = {"message": " ".join(event.split())} | fields
        event = record.name.partition(".")[0]
    if record.exc_info and record.exc_info[0] is not None:
        # Only its class and its place, as an exception's text can contain a prompt or a key.
        fields |= {"exception": record.exc_info[0].__name__, "trace": describe_place(record.exc_info[2])}
    return event, fields


def describe_place(trace: TracebackType | None) -> str:
    """Return the traceback of an exception in one line, the innermost frame first."""
    frames = traceback.extract_tb(trace)
    return " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames[-_MAX_FRAMES:]))


@lru_cache(maxsize=2)
def _format_second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def _are_plain(text: str, pairs: list[str]) -> bool:
    """Return whether all pairs may be written without quotes, as in most lines.

    It is equivalent to _is_plain() for each value, with a few calls in C for all of them: the pattern takes several
    times as long.
    """
    return (
        text.isascii()
        and not text.encode().translate(None, _PLAIN)
        and text.count(" ") == len(pairs) - 1
        and "= " not in f"{text} "
        and (len(text) <= _MAX_PLAIN_CHARS or max(map(len, pairs)) <= _MAX_PLAIN_CHARS)
    )


def _format_value(value: object) -> object:
    if type(value) in _NUMBERS or _is_plain(str(value)):
        return value
    text = _cut(value).replace('"', "'")
    return f'"{text}"' if " " in text or not text else text


def _cut(value: object) -> str:
    """Return a value as one line of printable characters, so that no value can forge a log line."""
    text = str(value)[:_MAX_CHARS]
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text)
