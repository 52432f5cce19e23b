"""Items of an answer for which chat completions have no place: reasoning, and what the model says before it calls tools.

An assistant message has them under a key that only the translation knows. Each entry names the requested model, since no
other one can read its reasoning, and how many of the turn's other items came before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.models.token_counts import REASONING_ITEMS

KEY = REASONING_ITEMS
"""The key of an assistant message."""
KEY_JSON = b'"reasoning_items"'

ReasoningItem = dict[str, Any]
"""`{"model": requested, "at": items before it, "item": as it is sent back}`."""

# Of one answer. Without its items a model reasons afresh, which costs less than sending such a mass.
_MAX_CHARS = 1_000_000


def build_reasoning_item(item: Mapping[str, Any], model: str, at: int) -> ReasoningItem | None:
    """Return the entry of a reasoning or commentary item, or None if it cannot be sent back.

    Without `store` the upstream knows no item by its id, so reasoning without its encrypted content is of no use.
    """
    if item.get("type") == "reasoning":
        content = item.get("encrypted_content")
        if not isinstance(content, str) or not content:
            return None
        summary = item.get("summary")
        kept = {
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
        kept = {"type": "message", "role": "assistant", "phase": item.get("phase"), "content": texts}
    return {"model": model, "at": at, "item": kept}


def limit_reasoning_items(items: Sequence[ReasoningItem]) -> list[ReasoningItem]:
    """Return the items, or none if they are too large."""
    size = sum(len(entry["item"].get("encrypted_content") or "") for entry in items)
    return list(items) if size <= _MAX_CHARS else []


def has_reasoning_items(messages: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether any message has such items."""
    return any(KEY in message for message in messages)


def drop_reasoning_items(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages without the items, as an upstream that is asked for a chat completion must get them."""
    return [
        {name: value for name, value in message.items() if name != KEY} if KEY in message else message
        for message in messages
    ]
