"""Output items that chat completions have no field for: encrypted reasoning, and commentary before tool calls.

An assistant message stores them under a key that only this package reads. Each entry names the requested model, since
no other model can decrypt its reasoning, and the number of the turn's other items before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.models.token_counts import REASONING_ITEMS

REASONING_ITEMS_JSON = b'"reasoning_items"'
"""The name of the field of an assistant message that stores the items, as JSON."""

ReasoningItem = dict[str, Any]
"""`{"model": the requested model, "at": number of items before it, "item": the input item}`."""

# The limit of one answer. Beyond it, reasoning again costs less than sending the items.
_MAX_CHARS = 1_000_000


def build_reasoning_item(item: Mapping[str, Any], model: str, at: int) -> ReasoningItem | None:
    """Return the entry of a reasoning or commentary item, or None if it cannot be sent back.

    Without `store`, the upstream cannot look up an item by its id, so reasoning without encrypted content is useless.
    """
    if item.get("type") == "reasoning":
        content = item.get("encrypted_content")
        if not isinstance(content, str) or not content:
            return None
        summary = item.get("summary")
        input_item = {
            "type": "reasoning",
            "id": item.get("id"),
            "summary": summary if isinstance(summary, list) else [],
            "encrypted_content": content,
        }
    else:
        parts = item.get("content")
        texts = [
            {"type": "output_text", "text": part["text"]}
            for part in (parts if isinstance(parts, list) else [])
            if isinstance(part, dict) and isinstance(part.get("text"), str)
        ]
        input_item = {"type": "message", "role": "assistant", "phase": item.get("phase"), "content": texts}
    return {"model": model, "at": at, "item": input_item}


def limit_reasoning_items(items: Sequence[ReasoningItem]) -> list[ReasoningItem]:
    """Return the items, or an empty list if they are too large together."""
    size = sum(len(entry["item"].get("encrypted_content") or "") for entry in items)
    return list(items) if size <= _MAX_CHARS else []


def has_reasoning_items(messages: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether any message has reasoning items."""
    return any(REASONING_ITEMS in message for message in messages)


def drop_reasoning_items(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages without reasoning items, which /chat/completions does not accept."""
    return [
        {name: value for name, value in message.items() if name != REASONING_ITEMS}
        if REASONING_ITEMS in message
        else message
        for message in messages
    ]
