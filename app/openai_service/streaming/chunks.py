"""ChunkReader: parses OpenAI's chat completion chunks into events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from app.openai_service.errors import UpstreamFailed, UpstreamTruncated
from app.openai_service.streaming.events import (
    Done,
    Events,
    Reasoning,
    Refusal,
    Token,
    ToolCallDelta,
    ToolCallObject,
)
from app.openai_service.streaming.sse import EventSplitter
from app.openai_service.transport.sdk_errors import translate_error_object
from app.token_counts import Usage

_FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}


def map_finish_reason(upstream: object, has_tool_calls: bool) -> str:
    """Return a finish reason of our API; any other reason of a compatible server becomes "stop".

    An answer without a reason has the reason "unknown". Some servers, and a forced choice of a tool, end with "stop"
    although the answer has tool calls.
    """
    if not upstream or not isinstance(upstream, str):
        return "unknown"
    reason = _FINISH_REASONS.get(upstream, "stop")
    return "tool_calls" if reason == "stop" and has_tool_calls else reason


_END = b"[DONE]"
_CONTENT = b'"delta":{"content":"'


class ChunkReader:
    """Reads the bytes of one answer in order, and collects what its Done event needs."""

    def __init__(self) -> None:
        self.model = ""
        self.chunks = 0
        """The number of parsed chunks, without those that contain only a piece of text."""
        self.is_done = False
        """Whether the upstream has sent `[DONE]`."""
        self.usage: Usage | None = None
        """The usage of the answer, once it is complete."""
        self._splitter = EventSplitter()
        self._id = ""
        self._raw_usage: dict[str, Any] | None = None
        self._has_text = False
        self._finish_reason: object = None
        self._tool_calls: dict[int, ToolCallObject] = {}

    def feed(self, data: bytes, events: Events) -> None:
        """Append to `events` the events that these bytes complete; Done is the last one.

        Raises:
            UpstreamTruncated: the stream ended without a finish_reason.
            UpstreamFailed: the data is not a stream of chunks.
            UpstreamError: the stream contains an error object.
        """
        for raw in self._splitter.feed(data):
            if self.model and (text := _read_plain_token(raw)):
                self._has_text = True
                events.append(Token(text))
            elif raw == _END:
                self.is_done = True
                events.append(self._make_done())
                return
            else:
                self._read(raw, events)

    def end(self, events: Events) -> None:
        """Append the last events of a stream that ended without `[DONE]`. Raises the errors of feed()."""
        for raw in self._splitter.end():
            if raw != _END:
                self._read(raw, events)
        events.append(self._make_done())

    def _make_done(self) -> Done:
        self.usage = Usage.parse(self._raw_usage, wrote=self._has_text)
        if self._finish_reason is None:
            raise UpstreamTruncated().paid_for(self.usage)
        tool_calls = [call for _, call in sorted(self._tool_calls.items())]
        return Done(
            map_finish_reason(self._finish_reason, bool(tool_calls)),
            self.usage,
            self.model,
            self._id,
            tool_calls,
        )

    def usage_so_far(self) -> Usage | None:
        """Return what is known of the usage of an answer that has not come to its end, if anything."""
        usage = Usage.parse(self._raw_usage)
        return usage and replace(usage, completion_tokens=None, is_reported=False)

    def _read(self, raw: bytes, events: Events) -> None:
        try:
            chunk = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise UpstreamFailed from None
        if not isinstance(chunk, dict):
            raise UpstreamFailed
        self.chunks += 1
        if chunk.get("error"):
            raise translate_error_object(chunk["error"])
        self._id = self._id or _read_text(chunk.get("id"))
        self.model = self.model or _read_text(chunk.get("model"))
        self._note_usage(chunk.get("usage"))
        choices = chunk.get("choices")
        # Empty in the chunk with the usage, and in Azure's first chunk.
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._note_usage(choices[0].get("usage"))  # Moonshot
            if found := self._read_choice(choices[0]):
                self._has_text = True
                events += found

    def _note_usage(self, usage: object) -> None:
        """Keep the last usage; it may grow from chunk to chunk. One of no counts takes nothing back."""
        if isinstance(usage, dict) and (usage or self._raw_usage is None):
            before = self._raw_usage or {}
            self._raw_usage = {name: count or before.get(name, count) for name, count in usage.items()}

    def _read_choice(self, choice: dict[str, Any]) -> Events:
        if choice.get("finish_reason"):
            self._finish_reason = choice["finish_reason"]
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return []
        events: Events = []
        if text := delta.get("content"):
            if not isinstance(text, str):
                raise UpstreamFailed
            events.append(Token(text))
        if text := _read_text(delta.get("refusal")):
            events.append(Refusal(text))
        if text := _read_text(delta.get("reasoning_content")) or _read_text(delta.get("reasoning")):
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
                id=_read_text(delta.get("id")),
                name=_read_text(function.get("name")),
                arguments=_read_text(function.get("arguments")),
            )
            call = self._tool_calls.setdefault(
                position, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            )
            call["id"] = call["id"] or event.id
            call["function"]["name"] = call["function"]["name"] or event.name
            call["function"]["arguments"] += event.arguments
            events.append(event)
        return events


def _read_plain_token(raw: bytes) -> str | None:
    """Return the text of a chunk that contains only a piece of text, as most do; None for any other chunk.

    The text is sliced rather than parsed: on a stream of single tokens, parsing is most of the work.
    """
    start = raw.find(_CONTENT)
    if start < 0:
        return None
    start += len(_CONTENT)
    end = raw.find(b'"}', start)
    text = raw[start:end]
    if (
        end < 0
        or b"\\" in text
        or b'"' in text
        or raw.find(b'"finish_reason":null', end) < 0
        or raw.find(b'"usage":{') >= 0
    ):
        return None
    try:
        return text.decode()
    except UnicodeDecodeError:
        return None


def _read_text(value: object) -> str:
    return value if isinstance(value, str) else ""
