"""Reading a usage in OpenAI's own terms, and the bodies that bound it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def told_count(usage: Mapping[str, Any], *path: str) -> int | None:
    """A count of tokens; None where the upstream did not tell it, or told none that can be."""
    value: Any = usage
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def most_output(body: Mapping[str, Any]) -> int:
    """The most tokens that the upstream may write: none for embeddings."""
    return int(body.get("max_completion_tokens") or body.get("max_tokens") or 0)
