"""Limits the nesting depth of JSON, and the size of a JSON Schema, which determines the work of processing it."""

from __future__ import annotations

from itertools import islice
from typing import Any

import orjson

from app.json_schema.references import UnsatisfiableError, iter_subschemas
from app.runtime.turns import Turns, in_turns

MAX_DEPTH = 64
"""The maximum depth of a free-form object, such as a JSON Schema."""

# A schema within these limits compiles in some hundredths of a second.
MAX_BYTES = 500_000
MAX_VALUES = 20_000
MAX_SUBSCHEMAS = 2_000


def check_size(schema: dict[str, Any]) -> None:
    """Refuse a schema that is too large.

    Raises:
        UnsatisfiableError: it has too many bytes, values or subschemas, or is nested too deeply.
    """
    if is_deeper(schema, MAX_DEPTH):
        raise UnsatisfiableError("it is nested too deeply")
    if is_larger(schema, MAX_VALUES):
        raise UnsatisfiableError(f"it has more than {MAX_VALUES} values")
    if len(orjson.dumps(schema)) > MAX_BYTES:
        raise UnsatisfiableError(f"it has more than {MAX_BYTES} bytes")
    if len(list(islice(iter_subschemas(schema), MAX_SUBSCHEMAS + 1))) > MAX_SUBSCHEMAS:
        raise UnsatisfiableError(f"it has more than {MAX_SUBSCHEMAS} parts")


def is_larger(value: Any, values: int) -> bool:
    """Return whether JSON consists of more than `values` values, without visiting more than that."""
    waiting, turns = [value], Turns()
    while waiting:
        value = waiting.pop()
        turns.end_step()
        if isinstance(value, dict | list):
            values -= len(value)
            if values < 0:
                return True
            waiting += value.values() if isinstance(value, dict) else value
    return False


def is_deeper(value: Any, depth: int) -> bool:
    """Return whether lists and objects are nested more than `depth` deep, without recursion."""
    level = [value]
    for _ in range(depth + 1):
        level = [
            member
            for item in in_turns(level)
            if isinstance(item, dict | list)
            for member in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
