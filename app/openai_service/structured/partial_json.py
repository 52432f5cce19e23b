"""PartialJson: what can be told of a JSON text while it is being written."""

from __future__ import annotations

import time
from typing import Any

from pydantic_core import from_json

MIN_S = 0.05
"""How long after a value the next one may be told."""

CHARS_PER_S = 250_000.0
"""How much of a text is read again in a second, at most: each value holds all that came before it."""

_OF_NUMBERS = "0123456789+-.eE"
_BEFORE_NUMBERS = " \t\r\n:,["


class PartialJson:
    """A text, and the value that it makes so far: what is in a string shows at once, a number when it is whole."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._has_news = False
        self._next_at = 0.0
        self._told: Any = None

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def add(self, text: str) -> None:
        self._pieces.append(text)
        self._has_news = True

    def take_changes(self) -> Any:
        """The value so far; None where there is nothing new to tell, or it is not time for it yet."""
        now = time.monotonic()
        if not self._has_news or now < self._next_at:
            return None
        self._has_news = False
        text = self.text
        self._pieces = [text]
        self._next_at = now + max(MIN_S, len(text) / CHARS_PER_S)
        try:
            # It gives up where the nesting is deeper than what could be written again.
            value = from_json(
                _drop_partial_number(text),
                allow_inf_nan=False,
                cache_strings="keys",
                allow_partial="trailing-strings",
            )
        except ValueError:
            return None
        if not value or not isinstance(value, dict | list) or value == self._told:
            return None
        self._told = value
        return value


def _drop_partial_number(text: str) -> str:
    """The text up to the number at its end, which may go on; within a string that does no harm either."""
    before = text.rstrip(_OF_NUMBERS)
    return before if before[-1:] in _BEFORE_NUMBERS else text
