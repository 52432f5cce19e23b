"""Make texts that match a regular expression: a short one, then longer ones and ones with other characters.

Anchors and look-around are ignored, so the caller checks each text. The caller also limits the work: writing one part is
a step of less than a microsecond.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from random import Random
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_LENGTHS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
_VARIANTS = 60
_SHORT_LENGTHS = 7
_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ1234567890-_. /@:+#,!?=\n\té漢🙂"
_FEW = 10
_MAX_OF_RANGE = 50
_STEPS_PER_CHAR = 5  # of the expression, to read it
_CATEGORIES: dict[object, Callable[[str], bool]] = {
    ops.CATEGORY_DIGIT: lambda char: char.isascii() and char.isdigit(),
    ops.CATEGORY_SPACE: str.isspace,
    ops.CATEGORY_WORD: lambda char: char.isascii() and (char.isalnum() or char == "_"),
    ops.CATEGORY_NOT_DIGIT: lambda char: not char.isdigit(),
    ops.CATEGORY_NOT_SPACE: lambda char: not char.isspace(),
    ops.CATEGORY_NOT_WORD: lambda char: not char.isalnum() and char != "_",
}
_REPEATS = {ops.MAX_REPEAT, ops.MIN_REPEAT}

# Replaces syntax that Python does not know: one character stands for a class of Unicode.
_UNICODE_CLASS = re.compile(r"\\[pP](?:\{([^}]*)\}|(\w))")
_CODE_POINT = re.compile(r"\\u\{([0-9A-Fa-f]{1,6})\}")
_NAMED_GROUP = re.compile(r"\(\?<(?![=!])")
_SAMPLES = [
    (r"Lu|Upper", "A"),
    (r"N|Digit", "1"),
    (r"P|Punct", "!"),
    (r"S[cmko]?$|Symbol", r"\+"),
    (r"Z|White", " "),
    (r"Ext|Emoji", "🙂"),
    (r".*Greek", "α"),
    (r".*Cyrillic", "я"),
    (r".*Han", "漢"),
    (r"", "a"),
]


def propose_matches(pattern: str, spend: Callable[[int], None]) -> Iterator[str]:
    """Yield texts that may match.

    Args:
        pattern: a regular expression. One that Python cannot parse yields no texts.
        spend: is called with the number of steps before they are done.
    """
    spend(_STEPS_PER_CHAR * len(pattern))
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = parser.parse(_to_python(pattern))
        writer, text = _Writer(spend), None
        for repeats in _LENGTHS:
            if text == (text := writer.write(tree, repeats, 0)):
                break  # no part of it can be repeated more often
            yield text
        for variant in range(1, _VARIANTS):
            yield writer.write(tree, _LENGTHS[variant % _SHORT_LENGTHS], variant)
    except (re.error, OverflowError, RecursionError, _Impossible):
        return


def _to_python(pattern: str) -> str:
    pattern = _UNICODE_CLASS.sub(lambda found: _find_sample(found[1] or found[2] or ""), pattern)
    pattern = _CODE_POINT.sub(lambda found: rf"\U{int(found[1], 16):08x}", pattern)
    return _NAMED_GROUP.sub("(?P<", pattern)


def _find_sample(name: str) -> str:
    return next(sample for start, sample in _SAMPLES if re.match(start, name))


def _list_characters(op: Any, value: Any) -> str:
    """Return characters that a part matches: those in _ALPHABET and, if these are few, the first of its ranges."""
    if op is ops.ANY:
        return _ALPHABET.replace("\n", "")
    if op is ops.NOT_LITERAL:
        return _ALPHABET.replace(chr(value), "")
    members = [member for member in value if member[0] is not ops.NEGATE]
    is_negated = len(members) < len(value)
    found = "".join(
        char for char in _ALPHABET if any(_is_member(char, *member) for member in members) != is_negated
    )
    if len(found) >= _FEW or is_negated:
        return found
    ranges = [(low, low) if kind is ops.LITERAL else low for kind, low in members if kind is not ops.CATEGORY]
    others = (chr(code) for low, high in ranges for code in range(low, min(high, low + _MAX_OF_RANGE) + 1))
    return "".join(dict.fromkeys([*found, *others]))


def _is_member(char: str, kind: Any, value: Any) -> bool:
    if kind is ops.CATEGORY:
        return _CATEGORIES[value](char)
    low, high = value if kind is ops.RANGE else (value, value)
    return bool(low <= ord(char) <= high)


class _Impossible(Exception):
    """A part matches no known character."""


class _Writer:
    """Writes texts for a parsed expression. The caller must hold a reference to it meanwhile."""

    def __init__(self, spend: Callable[[int], None]) -> None:
        self._spend = spend
        self._repeats = self._turn = 0
        self._random: Random | None = None
        self._characters: dict[tuple[int, int], str] = {}

    def write(self, tree: Any, repeats: int, variant: int) -> str:
        """Return a text with this many repetitions above the minimum, and other characters for each variant."""
        self._repeats, self._turn = repeats, 0
        self._random = Random(variant) if variant else None  # noqa: S311 - the same each time
        return self._write(tree)

    def _write(self, parts: Any) -> str:
        return "".join(self._write_part(op, value) for op, value in parts)

    def _write_part(self, op: Any, value: Any) -> str:
        self._spend(1)
        if op is ops.LITERAL:
            return chr(value)
        if op in (ops.IN, ops.NOT_LITERAL, ops.ANY):
            characters = self._find_characters(op, value)
            return characters[self._take(len(characters))]
        if op is ops.BRANCH:
            return self._write(value[1][self._take(len(value[1]))])
        if op in _REPEATS:
            low, high, inner = value
            return "".join(self._write(inner) for _ in range(min(low + self._repeats, int(high))))
        if op is ops.SUBPATTERN:
            return self._write(value[3])
        return ""

    def _find_characters(self, op: Any, value: Any) -> str:
        key = id(op), id(value)
        if key not in self._characters:
            self._spend(len(_ALPHABET))
            self._characters[key] = _list_characters(op, value)
        return self._characters[key]

    def _take(self, count: int) -> int:
        """Return the index of the alternative to use: in turn for the first text, at random for the others."""
        if not count:
            raise _Impossible
        self._turn += 1
        return self._random.randrange(count) if self._random else (self._turn - 1) % count
