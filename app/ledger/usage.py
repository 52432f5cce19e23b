"""Reading a usage in OpenAI's own terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def told_count(usage: Mapping[str, Any], *path: str) -> int | None:
    """A count of tokens; None where the upstream did not tell it, or told none that can be."""
    value: Any = usage
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
