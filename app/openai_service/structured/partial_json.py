"""PartialJson: parses a JSON text that is still incomplete."""

from __future__ import annotations

import time
from typing import Any

from pydantic_core import from_json

MIN_S = 0.05
"""The minimum time between two values."""

CHARS_PER_S = 250_000.0
"""The maximum parsing rate. Each value is parsed from the whole text so far."""

MAX_VALUES = 30_000
"""A text that may contain more values is not parsed before it is complete."""

_NUMBER_CHARS = "0123456789+-.eE"
_BEFORE_NUMBER_CHARS = " \t\r\n:,["


class PartialJson:
    """A growing JSON text and its value so far. It contains incomplete strings, but no incomplete numbers."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._has_changed = False
        self._next_at = 0.0
        self._last_value: Any = None

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._pieces)

    def add(self, text: str) -> None:
        """Append a piece of text."""
        self._pieces.append(text)
        self._has_changed = True

    def take_changes(self) -> Any:
        """Return the value so far; None if it has not changed, or if MIN_S or CHARS_PER_S do not allow parsing yet."""
        now = time.monotonic()
        if not self._has_changed or now < self._next_at:
            return None
        self._has_changed = False
        text = self.text
        self._pieces = [text]
        self._next_at = now + max(MIN_S, len(text) / CHARS_PER_S)
        if sum(map(text.count, "[{,")) > MAX_VALUES:
            return None
        try:
            # Raises ValueError for nesting deeper than orjson could serialize.
            value = from_json(
                _drop_partial_number(text),
                allow_inf_nan=False,
                cache_strings="keys",
                allow_partial="trailing-strings",
            )
        except ValueError:
            return None
        if not value or not isinstance(value, dict | list) or value == self._last_value:
            return None
        self._last_value = value
        return value


def _drop_partial_number(text: str) -> str:
    """Return the text without a number at its end, which may be incomplete. Within a string this does no harm."""
    before = text.rstrip(_NUMBER_CHARS)
    return before if before[-1:] in _BEFORE_NUMBER_CHARS else text
