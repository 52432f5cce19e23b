"""Translates the messages of a chat completion into the input items of a response.

Source: https://platform.openai.com/docs/guides/migrate-to-responses
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.models.token_counts import REASONING_ITEMS
from app.openai_service.responses.client_tools import FUNCTION, Item, build_call, build_result

_BREAKPOINT = "prompt_cache_breakpoint"


def build_items(messages: Iterable[Mapping[str, Any]], model: str) -> list[Item]:
    """Return the input items of a conversation.

    Args:
        messages: in the form of chat completions.
        model: the requested model; reasoning of other models is omitted.
    """
    items: list[Item] = []
    kinds: dict[str, str] = {}
    for message in messages:
        role = message["role"]
        if role == "assistant":
            items += _build_turn(message, model)
            kinds |= {call["id"]: call["type"] for call in message.get("tool_calls") or ()}
        elif role == "tool":
            kind, output = kinds.get(message["tool_call_id"], FUNCTION), _translate_content(message["content"])
            items.append(build_result(message, kind, output))
        else:
            items.append({"role": role, "content": _translate_content(message["content"])})
    return items


def _build_turn(message: Mapping[str, Any], model: str) -> list[Item]:
    """Return the items of an assistant message: its reasoning, its text, and one item for each call."""
    turn: list[Item] = []
    content = _build_answer(message)
    calls = message.get("tool_calls") or []
    if content or not calls:
        turn.append({"role": "assistant", "content": content})
    turn += map(build_call, calls)
    reasoning = [entry for entry in message.get(REASONING_ITEMS) or () if entry["model"] == model]
    for entry in reversed(reasoning):
        turn.insert(entry["at"], entry["item"])
    return turn


def _build_answer(message: Mapping[str, Any]) -> str | list[Item]:
    """Return the content of an assistant message: a string, or parts if there are several or there is a refusal."""
    content, refusal = message.get("content"), message.get("refusal")
    if isinstance(content, str) and not refusal:
        return content
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
    translated = [
        {"type": "refusal", "refusal": part["refusal"]}
        if part["type"] == "refusal"
        else {"type": "output_text", "text": part["text"]}
        for part in parts
    ]
    if refusal:
        translated.append({"type": "refusal", "refusal": refusal})
    return translated or ""


def _translate_content(content: str | Sequence[Mapping[str, Any]]) -> str | list[Item]:
    return content if isinstance(content, str) else [_translate_part(part) for part in content]


def _translate_part(part: Mapping[str, Any]) -> Item:
    kind = part["type"]
    if kind == "text":
        translated: Item = {"type": "input_text", "text": part["text"]}
    elif kind == "image_url":
        image = part["image_url"]
        detail = image.get("detail") or "auto"
        translated = {"type": "input_image", "image_url": image["url"], "detail": detail}
    elif kind == "file":
        translated = {"type": "input_file", **part["file"]}
    else:
        return dict(part)
    if _BREAKPOINT in part:
        translated[_BREAKPOINT] = part[_BREAKPOINT]
    return translated
