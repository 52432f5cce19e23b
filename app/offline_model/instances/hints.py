"""What a user's text offers for the fields of an object: names, other words, numbers, and whole snippets."""

from __future__ import annotations

import re

from app.offline_model.common_words import COMMON_WORDS


class Hints:
    """Values found in a text, in the order a field should try them.

    Attributes:
        words: names first ("New York" is one), then the other words that mean something, each once.
        numbers: as written, without sign.
        pieces: what stands between spaces, free of the punctuation around it: an address, a date.
    """

    def __init__(self, text: str) -> None:
        self.text = " ".join(text[:10_000].split())
        self.pieces = [piece.strip(".,;:!?()[]{}<>\"'“”‘’") for piece in self.text.split()]
        self.numbers = [
            _number(found) for found in re.findall(r"(?<![\w.-])\d{1,15}(?:\.\d{1,6})?(?![\w-])", self.text)
        ]
        self._plain = re.sub(r"\S*[@/]\S*", " ", self.text)  # without addresses, whose parts are no words
        self._taken_words = self._taken_numbers = 0
        self.words = list(dict.fromkeys([*self._names(), *self._other_words()]))

    def take_word(self) -> str:
        """Return the next of the words, so that two fields do not say the same while there are words left."""
        self._taken_words += 1
        return self.words[(self._taken_words - 1) % len(self.words)]

    def take_number(self) -> int:
        """Return the next of 0, 1, 2, … to tell made-up values apart."""
        self._taken_numbers += 1
        return self._taken_numbers - 1

    def mentions(self, value: object) -> bool:
        """Whether the text holds this value, as a word of its own."""
        word = str(value)
        return word != "" and re.search(rf"\b{re.escape(word)}\b", self.text, re.IGNORECASE) is not None

    def _names(self) -> list[str]:
        capitalised = re.findall(r"\b(?:[A-Z][\w-]*[^\W_])(?: [A-Z][\w-]*[^\W_])*", self._plain)
        names = (" ".join(word for word in run.split() if not _is_common(word)) for run in capitalised)
        return [name for name in names if name]

    def _other_words(self) -> list[str]:
        return [word for word in re.findall(r"\b[^\W\d_]{4,}\b", self._plain) if not _is_common(word)]


def _is_common(word: str) -> bool:
    return word.casefold() in COMMON_WORDS


def _number(digits: str) -> int | float:
    return float(digits) if "." in digits else int(digits)
