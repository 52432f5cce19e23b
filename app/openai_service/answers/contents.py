"""Reads text, refusal and reasoning from a message or delta, whose content may be a string or a list of parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.openai_service.answers.text import TextEvent
from app.openai_service.errors import UpstreamFailed
from app.openai_service.streaming.events import Reasoning, Refusal, Token

# The field with the reasoning: of DeepSeek, vLLM and Qwen; of OpenRouter and Groq; of Ollama.
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
# The types of parts that are reasoning, and the fields that contain the text of a part.
_REASONING_TYPES = (
    "thinking",
    "reasoning",
    "reasoning_content",
    "reasoning.text",
    "reasoning.summary",
    "summary_text",
)
_TEXT_FIELDS = ("text", "thinking", "reasoning", "summary", "content", "refusal")
_MAX_DEPTH = 4


def read_answer(message: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text and the refusal of a complete message. Raises the errors of read_texts()."""
    text, refusal = message.get("content"), message.get("refusal")
    refusal = refusal if isinstance(refusal, str) else ""
    if not isinstance(text, str | None):
        parts = list(_read_parts(text))
        text = "".join(part.text for part in parts if isinstance(part, Token))
        refusal += "".join(part.text for part in parts if isinstance(part, Refusal))
    return text or "", refusal


def read_texts(message: Mapping[str, Any]) -> list[TextEvent]:
    """Return the text, refusal and reasoning of a delta, in this order; the parts of a list keep their own order.

    Raises:
        UpstreamFailed: its content is neither a string nor a list of parts.
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
    for name in _REASONING_FIELDS:
        if (value := message.get(name)) and (text := value if isinstance(value, str) else _join_texts(value)):
            return text
    # OpenRouter repeats `reasoning` in this field, and sometimes sends this field alone.
    return _join_texts(details) if (details := message.get("reasoning_details")) else ""


def _read_parts(content: object) -> Iterator[TextEvent]:
    """Yield an event for each part that has text.

    Mistral's parts are `{"type": "text", "text": …}` and `{"type": "thinking", "thinking": […]}`.
    """
    parts = [content] if isinstance(content, dict) else content
    if not isinstance(parts, list) or not all(isinstance(part, dict | str) for part in parts):
        raise UpstreamFailed
    for part in parts:
        kind = part.get("type", "text") if isinstance(part, dict) else "text"
        if not (text := _join_texts(part)):
            continue  # for example a reference
        if kind in _REASONING_TYPES:
            yield Reasoning(text)
        else:
            yield Refusal(text) if kind == "refusal" else Token(text)


def _join_texts(part: object, depth: int = 0) -> str:
    """Return the text of a part, or the joined texts of a list of parts."""
    if isinstance(part, str):
        return part
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(part, list):
        return "".join(_join_texts(each, depth + 1) for each in part)
    if isinstance(part, dict):
        return next((text for name in _TEXT_FIELDS if (text := _join_texts(part.get(name), depth + 1))), "")
    return ""
