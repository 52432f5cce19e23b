"""What a message or delta says, however a server spells it: as a text, as a list of parts, with its reasoning beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.openai_service.answers.text import TextEvent
from app.openai_service.errors import UpstreamFailed
from app.openai_service.streaming.events import Reasoning, Refusal, Token

# Of DeepSeek, vLLM and Qwen; of OpenRouter and Groq; of Ollama.
_REASONING = ("reasoning_content", "reasoning", "thinking")
# The types of parts, and the fields that have their texts.
_THOUGHTS = ("thinking", "reasoning", "reasoning_content", "reasoning.text", "reasoning.summary", "summary_text")
_TEXTS = ("text", "thinking", "reasoning", "summary", "content", "refusal")
_MAX_DEPTH = 4


def read_answer(message: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text and the refusal of a complete message. Raises as read_texts() does."""
    text, refusal = message.get("content"), message.get("refusal")
    refusal = refusal if isinstance(refusal, str) else ""
    if not isinstance(text, str | None):
        parts = list(_read_parts(text))
        text = "".join(part.text for part in parts if isinstance(part, Token))
        refusal += "".join(part.text for part in parts if isinstance(part, Refusal))
    return text or "", refusal


def read_texts(message: Mapping[str, Any]) -> list[TextEvent]:
    """Return what a delta says, refuses and thinks; in this order, but for a list of parts.

    Raises:
        UpstreamFailed: its content is neither a text nor a list of parts.
    """
    content = message.get("content")
    texts: list[TextEvent] = []
    if type(content) is str:
        if content:
            texts.append(Token(content))
    elif content is not None:
        texts += _read_parts(content)
    if (refusal := message.get("refusal")) and isinstance(refusal, str):
        texts.append(Refusal(refusal))
    if text := _read_reasoning(message):
        texts.append(Reasoning(text))
    return texts


def _read_reasoning(message: Mapping[str, Any]) -> str:
    for name in _REASONING:
        if (given := message.get(name)) and (text := given if isinstance(given, str) else _join(given)):
            return text
    # OpenRouter repeats here what it has in `reasoning`, and sometimes has it here alone.
    return _join(details) if (details := message.get("reasoning_details")) else ""


def _read_parts(content: object) -> Iterator[TextEvent]:
    """Yield the texts of Mistral's parts: `{"type": "text", "text": …}`, `{"type": "thinking", "thinking": […]}`."""
    parts = [content] if isinstance(content, dict) else content
    if not isinstance(parts, list) or not all(isinstance(part, dict | str) for part in parts):
        raise UpstreamFailed
    for part in parts:
        kind = part.get("type", "text") if isinstance(part, dict) else "text"
        if not (text := _join(part)):
            continue  # a reference, say
        if kind in _THOUGHTS:
            yield Reasoning(text)
        else:
            yield Refusal(text) if kind == "refusal" else Token(text)


def _join(part: object, depth: int = 0) -> str:
    """Return the text in a part, or in a list of parts."""
    if isinstance(part, str):
        return part
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(part, list):
        return "".join(_join(each, depth + 1) for each in part)
    if isinstance(part, dict):
        return next((text for name in _TEXTS if (text := _join(part.get(name), depth + 1))), "")
    return ""
