"""Strings that match a regular expression, made by walking the expression as `re` parses it.

Best effort: look-aheads and word boundaries are passed over, so the caller checks each string. A pattern in
JavaScript's dialect that Python does not know (`\\p{L}`) gives no string at all.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Iterator
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

ALPHABET = string.ascii_letters + string.digits + " -_.,:;/@#+*=!?()[]{}<>%&$|~^'\"\\`"

_WORD = string.ascii_letters + string.digits + "_"
_CATEGORIES = {
    op.CATEGORY_DIGIT: string.digits,
    op.CATEGORY_NOT_DIGIT: ALPHABET.translate(str.maketrans("", "", string.digits)),
    op.CATEGORY_SPACE: " ",
    op.CATEGORY_NOT_SPACE: ALPHABET.replace(" ", ""),
    op.CATEGORY_WORD: _WORD,
    op.CATEGORY_NOT_WORD: ALPHABET.translate(str.maketrans("", "", _WORD)),
}

# Few, since a pattern no string of which passes may take exponentially longer to check with each.
VARIANTS = 12
MAX_STEPS = 50_000


class _TooLongError(Exception):
    pass


def strings_matching(pattern: str, min_length: int) -> Iterator[str]:
    """Strings for a pattern, from the shortest on, each with its repeats once more than the one before."""
    try:
        parsed = _parser.parse(pattern)
        yield from (_Walk(extra).text(parsed) for extra in range(VARIANTS))
        yield from (_Walk(extra).text(parsed) for extra in range(max(VARIANTS, min_length - 12), min_length + 1))
    except (_TooLongError, _parser.error, OverflowError):
        return


class _Walk:
    """One walk through a parsed pattern: repeats run `extra` times more than they must, if they may."""

    def __init__(self, extra: int) -> None:
        self._extra = extra
        self._steps = 0
        self._groups: dict[int, str] = {}
        self._makers: dict[Any, Callable[[Any], str]] = {
            op.LITERAL: chr,
            op.NOT_LITERAL: lambda code: self._one_of([(op.NEGATE, None), (op.LITERAL, code)]),
            op.ANY: lambda _: self._one_of([(op.CATEGORY, op.CATEGORY_WORD)]),
            op.IN: self._one_of,
            op.BRANCH: self._branch,
            op.SUBPATTERN: self._group,
            op.GROUPREF: lambda group: self._groups.get(group, ""),
            op.ATOMIC_GROUP: self.text,
            op.MAX_REPEAT: self._repeat,
            op.MIN_REPEAT: self._repeat,
            op.POSSESSIVE_REPEAT: self._repeat,
        }

    def text(self, parsed: Iterable[tuple[Any, Any]]) -> str:
        return "".join(self._part(kind, value) for kind, value in parsed)

    def _part(self, kind: Any, value: Any) -> str:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise _TooLongError
        make = self._makers.get(kind)
        # A place (^, $, \b) or a look-ahead adds no text.
        return make(value) if make else ""

    def _branch(self, value: tuple[Any, list[Any]]) -> str:
        branches = value[1]
        return self.text(branches[self._extra % len(branches)])

    def _group(self, value: tuple[int, int, int, Any]) -> str:
        number, _, _, inner = value
        self._groups[number] = self.text(inner)
        return self._groups[number]

    def _repeat(self, value: tuple[int, int, Any]) -> str:
        low, high, inner = value
        times = min(low + self._extra, high)
        self._steps += times
        if self._steps > MAX_STEPS:
            raise _TooLongError
        return "".join(self.text(inner) for _ in range(times))

    def _one_of(self, items: list[tuple[Any, Any]]) -> str:
        negated = items[0][0] is op.NEGATE
        fitting = [char for char in ALPHABET if any(_holds(item, char) for item in items) is not negated]
        if not fitting and items[0][0] in (op.LITERAL, op.RANGE):  # letters beyond ASCII
            first = items[0][1]
            return chr(first[0] if isinstance(first, tuple) else first)
        if not fitting:
            raise _TooLongError
        # Wider strides from walk to walk, so that one of them meets a look-ahead's digit or capital.
        return fitting[self._steps * (1 + 8 * self._extra) % len(fitting)]


def _holds(item: tuple[Any, Any], char: str) -> bool:
    kind, value = item
    if kind is op.LITERAL:
        return char == chr(value)
    if kind is op.RANGE:
        return chr(value[0]) <= char <= chr(value[1])
    return kind is op.CATEGORY and char in _CATEGORIES.get(value, "")
