r"""Parses JSON that contains lone surrogates, and joins surrogate pairs that were split over two pieces of text.

JavaScript stores a character beyond U+FFFF as a surrogate pair, two escapes such as `\ud83d\ude00`. A server that
cuts a text between the two sends each as a lone surrogate. The two parts of a pair are joined again; a surrogate that
stays alone becomes U+FFFD, as in browsers. orjson rejects such JSON, so Python's parser reads it. It is rare.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from app.openai_service.streaming.events import Reasoning, Refusal, Token

TextEvent = Token | Refusal | Reasoning

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]|[\x80-\xff]")
_INT_LIMIT = 1 << 64


def read_json(raw: bytes | str) -> Any:
    """Return the value of a JSON text, with lone surrogates replaced.

    Raises:
        ValueError: it is not valid JSON.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return repair_surrogates(read_json_with_surrogates(raw))


def read_json_with_surrogates(raw: bytes | str) -> Any:
    """Return the value of a JSON text that orjson rejects because of a lone surrogate. Its strings keep the surrogates.

    Raises:
        ValueError: it is not valid JSON.
    """
    data = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    if not _SURROGATE.search(data):
        raise ValueError("not JSON")
    try:
        return json.loads(_decode(data), parse_constant=_reject_constant, parse_int=_read_int)
    except RecursionError:
        raise ValueError("nested too deep") from None


def repair_surrogates(value: Any) -> Any:
    """Return a JSON value whose strings can be encoded: surrogate pairs are joined, lone surrogates replaced."""
    if isinstance(value, str):
        return value if value.isascii() else _repair_text(value)
    if isinstance(value, list):
        return [repair_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {repair_surrogates(name): repair_surrogates(item) for name, item in value.items()}
    return value


class TextJoiner:
    """Joins surrogate pairs that were split over two events of the same kind: text, refusal or reasoning."""

    def __init__(self) -> None:
        self.pending: dict[type[TextEvent], str] = {}
        """The high surrogate at the end of the last event of a kind, if it ended with one."""

    def join(self, event: TextEvent) -> TextEvent:
        """Return the event without a high surrogate at its end, which is prepended to the next event of its kind.

        The text of the returned event may be empty.
        """
        kind = type(event)
        text, surrogate = cut_surrogate(self.pending.pop(kind, "") + event.text)
        if surrogate:
            self.pending[kind] = surrogate
        return kind(text)

    def flush(self) -> list[TextEvent]:
        """Return an event for each high surrogate whose low surrogate never arrived."""
        events = [kind(_repair_text(surrogate)) for kind, surrogate in self.pending.items()]
        self.pending.clear()
        return events


def cut_surrogate(text: str) -> tuple[str, str]:
    """Return a piece of text without a high surrogate at its end, and that surrogate, which belongs before the next piece.

    The piece is repaired. Without such a surrogate, the second text is empty.
    """
    end = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
    repaired: str = repair_surrogates(text.removesuffix(end))
    return repaired, end


def read_str(value: object) -> str:
    """Return a value of an upstream's JSON if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def _repair_text(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")  # a surrogate encoded in UTF-8, as some Java servers do
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def _reject_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not valid JSON")


def _read_int(digits: str) -> int | float:
    number = int(digits) if len(digits) <= 20 else _INT_LIMIT
    return number if -(_INT_LIMIT >> 1) <= number < _INT_LIMIT else float(digits)
