"""From OpenAI's chat completion chunks to events."""

from __future__ import annotations

from typing import Any

import orjson

from app.openai_service.errors import UpstreamFailed, from_error_object
from app.openai_service.events import (
    Batch,
    Done,
    Reasoning,
    Refusal,
    Token,
    ToolCallDelta,
    ToolCallObject,
    Usage,
)

_FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}


def finish_reason(upstream: object) -> str:
    """One of the four reasons that callers know; compatible servers have more, all of them kinds of "stop"."""
    return _FINISH_REASONS.get(upstream, "stop") if isinstance(upstream, str) else "stop"


class ChunkReader:
    """Reads one answer's chunks in their order and remembers what its end will have to tell."""

    def __init__(self) -> None:
        self.model = ""
        self.id = ""
        self.usage: Usage | None = None
        self.is_done = False
        """Whether the upstream said that nothing more will come."""
        self._finish_reason: str | None = None
        self._tool_calls: dict[int, ToolCallObject] = {}

    def read(self, data: bytes) -> Batch:
        """Turn one chunk into its events; most have one, some none.

        Raises:
            UpstreamError: the chunk is an error object.
            UpstreamFailed: it is no chunk at all.
        """
        if data == b"[DONE]":
            self.is_done = True
            return []
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise UpstreamFailed from None
        if not isinstance(chunk, dict):
            raise UpstreamFailed
        if chunk.get("error"):
            raise from_error_object(chunk["error"])
        if not self.id:
            self.id = _text(chunk.get("id"))
        if not self.model:
            self.model = _text(chunk.get("model"))
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self.usage = usage
        choices = chunk.get("choices")
        # Empty in the chunk that carries the usage, and in Azure's first one.
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return []
        return self._read_choice(choices[0])

    def _read_choice(self, choice: dict[str, Any]) -> Batch:
        if choice.get("finish_reason"):
            self._finish_reason = finish_reason(choice["finish_reason"])
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return []
        events: Batch = []
        if text := _text(delta.get("content")):
            events.append(Token(text))
        if text := _text(delta.get("refusal")):
            events.append(Refusal(text))
        if text := _text(delta.get("reasoning_content")):
            events.append(Reasoning(text))
        if delta.get("tool_calls"):
            events += self._read_tool_calls(delta["tool_calls"])
        return events

    def _read_tool_calls(self, deltas: object) -> list[ToolCallDelta]:
        events = []
        for delta in deltas if isinstance(deltas, list) else []:
            if not isinstance(delta, dict):
                continue
            index, function = delta.get("index"), delta.get("function")
            position = index if isinstance(index, int) else len(self._tool_calls)
            function = function if isinstance(function, dict) else {}
            event = ToolCallDelta(
                position=position,
                id=_text(delta.get("id")),
                name=_text(function.get("name")),
                arguments=_text(function.get("arguments")),
            )
            call = self._tool_calls.setdefault(
                position, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            )
            call["id"] = call["id"] or event.id
            call["function"]["name"] = call["function"]["name"] or event.name
            call["function"]["arguments"] += event.arguments
            events.append(event)
        return events

    def done(self) -> Done | None:
        """The answer's end, None if the upstream never said that it was finished."""
        if self._finish_reason is None:
            return None
        tool_calls = [call for _, call in sorted(self._tool_calls.items())]
        return Done(self._finish_reason, self.usage, self.model, self.id, tool_calls)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
