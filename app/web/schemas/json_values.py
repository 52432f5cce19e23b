"""Bound the number of values of a JSON text before it is parsed, as `[]` takes 64 bytes of memory; split lists."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import orjson

from app.problems import InvalidRequest
from app.runtime.turns import give_turn

MAX_VALUES = 50_000
"""A conversation of 2,000 messages with tool calls, or a schema of 5,000 properties, has fewer."""

# A smaller text cannot contain too many values.
_MIN_CHECKED_BYTES = 32_768
# Each value but the first begins an object or a list, or has a comma before it.
_BEFORE_VALUES = b"[{,"
_ALL_BYTES = bytes(range(256))
_NOT_BEFORE_VALUES = bytes(set(_ALL_BYTES) - set(_BEFORE_VALUES))
_NOT_SPECIAL = bytes(set(_ALL_BYTES) - set(_BEFORE_VALUES + b"\\"))
# Strings may contain many of these characters, which separate no values there. Skipping the strings of a text with
# more of them would take too long.
_MAX_SPECIAL = 2_000_000

# A string, or a character that begins, ends or separates values. Possessive, so that it never backtracks.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},]', re.DOTALL)
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_WIDE = re.compile(rb"[\xf0-\xf4]|\\u[dD][89abAB]")


def split_list(data: bytes, name: str, max_bytes: int) -> Iterator[bytes]:
    """Yield the text of each item of the list in an object that has only this member.

    Args:
        data: the JSON text of the object.
        name: the name of the member.
        max_bytes: the maximum length of an item.

    Raises:
        InvalidRequest: the text is no such object, or an item is longer.
    """
    begin = re.match(rb'\s*{\s*"%b"\s*:\s*\[' % name.encode(), data)
    if begin is None:
        raise InvalidRequest(f"A body of this size must have the one field {name}, a list.")
    start = at = begin.end()
    depth = count = 0
    while depth >= 0:
        token = _TOKEN.search(data, at, start + max_bytes + 1)
        if token is None:
            raise InvalidRequest(
                f"must be complete, and have at most {max_bytes:,} bytes.", field=f"{name}.{count}"
            )
        at, kind = token.end(), data[token.start()]
        depth += (kind in b"[{") - (kind in b"]}")
        if depth < 0 or (kind in b"," and not depth):
            text = data[start : at - 1]
            if count or depth >= 0 or text.strip():  # an empty list has no item
                yield text
            start, count = at, count + 1
    if not re.fullmatch(rb"\s*}\s*", data[at:]) or data[at - 1 : at] != b"]":
        raise InvalidRequest(f"A body of this size must have the one field {name}, a list.")


def count_extra_bytes(data: bytes) -> int:
    """Return how many more bytes the strings of a JSON text take once they are parsed.

    A Python string takes four bytes a character if one is outside the Basic Multilingual Plane, such as an emoji.
    """
    if not _WIDE.search(data):
        return 0
    texts = (found[0] for found in _TEXT.finditer(data))
    return sum(max(4 * len(orjson.loads(text)) - len(text), 0) for text in texts if _WIDE.search(text))


def check_value_count(data: bytes, max_values: int) -> None:
    """Refuse a JSON text that contains too many values, in time linear in its length.

    Raises:
        InvalidRequest: it contains more than `max_values` lists, objects and members of them, names included.
    """
    if len(data) <= _MIN_CHECKED_BYTES:
        return
    special = len(data.translate(None, _NOT_SPECIAL))
    if special <= max_values:
        return
    if special <= _MAX_SPECIAL + max_values and _count_outside_strings(data, max_values) <= max_values:
        return
    raise InvalidRequest("The body holds too many values.")


def _count_outside_strings(data: bytes, max_values: int) -> float:
    """Return the number of values; infinity if the number of quotes already shows that there are too many."""
    # Valid JSON has no backslash outside of strings. For other texts the count may be wrong, but parsing them
    # fails.
    for escape in (b"\\\\", b'\\"'):
        data = data.replace(escape, b"")
        give_turn()
    if data.count(b'"') > 4 * max_values + 2:  # each value and each name has at most two
        return math.inf
    return len(b"".join(data.split(b'"')[::2]).translate(None, _NOT_BEFORE_VALUES))
