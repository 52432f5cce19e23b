"""Limit how deeply JSON is nested."""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 64
"""The maximum depth of a free-form object, such as a JSON Schema."""


def is_deeper(value: Any, depth: int) -> bool:
    """Return whether lists and objects are nested more than `depth` deep, without recursion."""
    level = [value]
    for _ in range(depth + 1):
        level = [
            member
            for item in level
            if isinstance(item, dict | list)
            for member in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
