"""Moves images and files from tool results into a user message, since chat completions accept only text in results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Shorter than the JSON around an image, so the reserved bound of tokens still holds.
_ATTACHED = "(attached)"


def move_media(messages: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Return the messages with text-only tool results. A user message after a turn's results has the other parts."""
    if not any(map(_has_media, messages)):
        return messages
    moved: list[dict[str, Any]] = []
    attached: list[dict[str, Any]] = []
    for message in messages:
        if message["role"] != "tool":
            _attach(moved, attached)
            attached = []
        if _has_media(message):
            texts = [part["text"] for part in message["content"] if part["type"] == "text"]
            attached += [part for part in message["content"] if part["type"] != "text"]
            moved.append({**message, "content": "\n\n".join([*texts, _ATTACHED])})
        else:
            moved.append(message)
    _attach(moved, attached)
    return moved


def _attach(messages: list[dict[str, Any]], parts: list[dict[str, Any]]) -> None:
    if parts:
        messages.append({"role": "user", "content": parts})


def _has_media(message: Mapping[str, Any]) -> bool:
    return message["role"] == "tool" and isinstance(message["content"], list)
