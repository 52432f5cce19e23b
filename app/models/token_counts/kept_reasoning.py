"""Bound the tokens of reasoning that is handed back, encrypted, to the model that wrote it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from app.models.token_counts.usage import Usage

REASONING_ITEMS = "reasoning_items"
"""The key of an assistant message that has what the model reasoned, all in one answer."""
_TOKENS = "tokens"
# Held for more than was told: how reasoning is written into the prompt is not documented.
_MARGIN = 1.2


def note_tokens(entries: Sequence[dict[str, Any]], usage: Usage | None) -> None:
    """Note how many tokens of an answer were reasoning, if it tells."""
    if entries and usage is not None and usage.reasoning_tokens:
        entries[0][_TOKENS] = usage.reasoning_tokens


def count_spared_reasoning(entries: Sequence[Mapping[str, Any]]) -> int:
    """Return by how much the tokens of reasoning are surely fewer than its bytes: those that the model told, if it did.

    What is around the encrypted text counts by its bytes.
    """
    tokens = entries[0].get(_TOKENS) if entries else None
    if type(tokens) is not int:
        return 0
    encrypted = sum(len(entry["item"].get("encrypted_content") or "") for entry in entries)
    return max(0, encrypted - math.ceil(tokens * _MARGIN))
