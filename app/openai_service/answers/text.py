r"""Reading JSON in which servers cut letters in half, as JavaScript does: each half is an escape like `\ud83d`.

A letter beyond U+FFFF is a pair of surrogates there. Halves that meet again are joined; a lone one becomes U+FFFD, as
browsers show it. JSON with halves is rare and is read by Python's parser, as orjson refuses it.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from app.openai_service.streaming.events import Reasoning, Refusal, Token

TextEvent = Token | Refusal | Reasoning

_HALF = re.compile(rb"\\u[dD][89a-fA-F]|[\x80-\xff]")
_BEYOND_JSON = 1 << 64


def read_json(raw: bytes | str) -> Any:
    """Return the value of a JSON text, with each lone half of a letter replaced.

    Raises:
        ValueError: it is not valid JSON.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return repair_surrogates(read_json_with_surrogates(raw))


def read_json_with_surrogates(raw: bytes | str) -> Any:
    """Return the value of a JSON text that orjson refuses for a half of a letter; its strings keep their halves.

    Raises:
        ValueError: it is not valid JSON.
    """
    data = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    if not _HALF.search(data):
        raise ValueError("no JSON")
    try:
        return json.loads(_decode(data), parse_constant=_refuse, parse_int=_read_int)
    except RecursionError:
        raise ValueError("nested too deep") from None


def repair_surrogates(value: Any) -> Any:
    """Return a JSON value whose strings can be sent: halves that meet are joined, lone ones replaced."""
    if isinstance(value, str):
        return value if value.isascii() else _mend_text(value)
    if isinstance(value, list):
        return [repair_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {repair_surrogates(name): repair_surrogates(item) for name, item in value.items()}
    return value


class TextJoiner:
    """Joins the halves of letters that were split over two events of the same kind: of text, refusal or reasoning."""

    def __init__(self) -> None:
        self.waiting: dict[type[TextEvent], str] = {}
        """The first half with which the last event of a kind ended, if it did."""

    def join(self, event: TextEvent) -> TextEvent:
        """Return what can be said now, which may be nothing, with the next event of its kind."""
        kind = type(event)
        text = self.waiting.pop(kind, "") + event.text
        if "\ud800" <= text[-1] <= "\udbff":
            self.waiting[kind] = text[-1]
            text = text[:-1]
        return kind(_mend_text(text))

    def flush(self) -> list[TextEvent]:
        """Return an event for each half whose other half never came."""
        events = [kind(_mend_text(half)) for kind, half in self.waiting.items()]
        self.waiting.clear()
        return events


def _mend_text(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")  # a half in bytes, as some Java servers write it
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _read_int(digits: str) -> int | float:
    number = int(digits) if len(digits) <= 20 else _BEYOND_JSON
    return number if -(_BEYOND_JSON >> 1) <= number < _BEYOND_JSON else float(digits)
