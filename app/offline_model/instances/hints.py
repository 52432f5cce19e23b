"""Extract names, words, numbers and snippets from a user's text, as values for an object's fields."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from app.offline_model.instances.common_words import COMMON_WORDS

_MAX_SORTED = 1_000
_MAX_WORD_CHARS = 200


class Hints:
    """Values found in a text, in the order to try them.

    Attributes:
        words: names first ("New York" is one), then other words without the common ones, each once.
        numbers: without sign.
        pieces: text between spaces without the punctuation around it, such as an address or a date.
    """

    def __init__(self, text: str) -> None:
        self.text = " ".join(text[:10_000].split())
        self.pieces = [piece.strip(".,;:!?()[]{}<>\"'“”‘’") for piece in self.text.split()]
        self.numbers = [
            _parse_number(found) for found in re.findall(r"(?<![\w.-])\d{1,15}(?:\.\d{1,6})?(?![\w-])", self.text)
        ]
        # Without addresses, whose parts are not words.
        self._plain = " ".join(piece for piece in self.text.split() if not {"@", "/"} & set(piece))
        self._taken_words = self._taken_numbers = 0
        self._pieces_by_pattern: dict[str, list[str]] = {}
        self._folded = self.text.casefold()
        self.words = list(dict.fromkeys([*self._find_names(), *self._find_words()]))

    def take_word(self) -> str:
        """Return the next word, so that fields differ. After the last word, start again with the first."""
        self._taken_words += 1
        return self.words[(self._taken_words - 1) % len(self.words)]

    def take_number(self) -> int:
        """Return the next of 0, 1, 2, … so that generated values differ."""
        self._taken_numbers += 1
        return self._taken_numbers - 1

    def sort(self, values: Sequence[Any]) -> list[Any]:
        """Return up to 1,000 values, those that the text mentions first."""
        return sorted(values[:_MAX_SORTED], key=lambda value: not self.mentions(value))

    def mentions(self, value: object) -> bool:
        """Return whether the text contains a value as a whole word; False for lists, objects and long strings."""
        if isinstance(value, list | dict) or (isinstance(value, str) and len(value) > _MAX_WORD_CHARS):
            return False
        word = str(value)
        if word.casefold() not in self._folded:  # compiling an expression takes longer
            return False
        return word != "" and re.search(rf"\b{re.escape(word)}\b", self.text, re.IGNORECASE) is not None

    def find_pieces(self, pattern: str) -> list[str]:
        """Return the pieces that match a regular expression, which must be trusted."""
        if pattern not in self._pieces_by_pattern:
            self._pieces_by_pattern[pattern] = [piece for piece in self.pieces if re.fullmatch(pattern, piece)]
        return self._pieces_by_pattern[pattern]

    def _find_names(self) -> list[str]:
        capitalised = re.findall(r"\b(?:[A-Z][\w-]*[^\W_])(?: [A-Z][\w-]*[^\W_])*", self._plain)
        names = (" ".join(word for word in run.split() if not _is_common(word)) for run in capitalised)
        return [name for name in names if name]

    def _find_words(self) -> list[str]:
        return [word for word in re.findall(r"\b[^\W\d_]{4,}\b", self._plain) if not _is_common(word)]


def _is_common(word: str) -> bool:
    return word.casefold() in COMMON_WORDS


def _parse_number(digits: str) -> int | float:
    return float(digits) if "." in digits else int(digits)
