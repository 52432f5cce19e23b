"""Bound the number of values in a JSON text before it is parsed: `[]` is two bytes, and takes 64 in memory."""

from __future__ import annotations

import re
import time

from app.problems import InvalidRequest

MAX_VALUES = 50_000
"""A conversation of 2,000 messages with tool calls, or a schema of 5,000 properties, has fewer."""

# A smaller text has no room for too many values.
_FEW_BYTES = 32_768
# Each value but the first begins an object or a list, or has a comma before it.
_BEFORE_VALUES = b"[{,"
_ALL_BYTES = bytes(range(256))
_NOT_BEFORE_VALUES = bytes(set(_ALL_BYTES) - set(_BEFORE_VALUES))
_NOT_SPECIAL = bytes(set(_ALL_BYTES) - set(_BEFORE_VALUES + b"\\"))
# In a text of the caller's these characters mean nothing, so it may hold many. Looking for the ends of texts with
# more would take too long.
_MAX_SPECIAL = 1_000_000
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


def check_value_count(data: bytes, max_values: int) -> None:
    """Refuse a JSON text that holds too many values, in time linear in its length.

    Raises:
        InvalidRequest: it holds more than `max_values` lists, objects and members of them, names included.
    """
    if len(data) <= _FEW_BYTES:
        return
    special = len(data.translate(None, _NOT_SPECIAL))
    if special <= max_values:
        return
    if special <= _MAX_SPECIAL + max_values:
        time.sleep(0)  # let other requests of this worker run: with gevent they share this thread
        structure, strings = _STRING.subn(b"", data, count=2 * max_values + 1)
        if strings <= 2 * max_values and len(structure.translate(None, _NOT_BEFORE_VALUES)) <= max_values:
            return
    raise InvalidRequest("The body holds too many values.")
