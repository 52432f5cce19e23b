"""Bound the tokens of encrypted reasoning that is sent back to the model that wrote it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from app.models.token_counts.usage import Usage

REASONING_ITEMS = "reasoning_items"
"""The key of an assistant message that holds the reasoning of the whole answer."""
_TOKENS = "tokens"
# The bound is higher than the reported tokens, as it is not documented how reasoning is written into the prompt.
_MARGIN = 1.2


def note_tokens(entries: Sequence[dict[str, Any]], usage: Usage | None) -> None:
    """Store the number of reasoning tokens of an answer with its reasoning, if the usage reports it."""
    if entries and usage is not None and usage.reasoning_tokens:
        entries[0][_TOKENS] = usage.reasoning_tokens


def count_spared_reasoning(entries: Sequence[Mapping[str, Any]]) -> int:
    """Return how many bytes of reasoning are certainly not tokens, by the reported number of tokens.

    Return 0 if the model did not report it. The JSON around the encrypted text counts by its bytes.
    """
    tokens = entries[0].get(_TOKENS) if entries else None
    if type(tokens) is not int:
        return 0
    encrypted = sum(len(entry["item"].get("encrypted_content") or "") for entry in entries)
    return max(0, encrypted - math.ceil(tokens * _MARGIN))
