"""Encode a stream as OpenAI's chunks of a chat completion, for /v1/chat/completions."""

from __future__ import annotations

from typing import Any, ClassVar

import orjson

from app.openai_service import (
    CallRecord,
    Done,
    Event,
    Events,
    Failed,
    Reasoning,
    Refusal,
    Token,
    ToolCallDelta,
)
from app.openai_service.streaming.events import ToolCallObject
from app.openai_service.streaming.passing import TokenFrame
from app.web.encoders.openai_error import openai_error
from app.web.encoders.padding import Padding
from app.web.errors import problem_for
from app.web.schemas.sealed_reasoning import Seal, build_details, seal_nothing

_END = b"data: [DONE]\n\n"


class OpenAISse:
    """Encodes padded server-sent events: `chat.completion.chunk` objects, then `data: [DONE]` or an error.

    Attributes:
        record: the record of the call. Its model is known when the first events arrive.
    """

    content_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    heartbeat: ClassVar[bytes] = b": heartbeat\n\n"

    record: CallRecord

    def __init__(
        self,
        completion_id: str,
        created: int,
        padding: Padding,
        *,
        includes_usage: bool,
        seal: Seal = seal_nothing,
    ) -> None:
        self._frame = {"id": completion_id, "object": "chat.completion.chunk", "created": created}
        self._padding = padding
        self._includes_usage = includes_usage
        self._seal = seal
        self._begin_chunk = self._begin_text = self._end_text = b""
        self._calls: dict[int, bool] = {}
        """The tool calls so far, by position, and whether any of their arguments were sent."""

    @property
    def token_frame(self) -> TokenFrame | None:
        """The bytes before and after the next token; None before the first chunk."""
        if not self._begin_text:
            return None
        return TokenFrame(self._begin_text + b'"', b'"' + self._end_text, self._padding.close)

    def encode(self, events: Events) -> bytes:
        """Return the events as bytes."""
        if len(events) == 1 and type(event := events[0]) is Token and self._begin_text:  # nearly always
            return self._padding.close(self._begin_text + orjson.dumps(event.text) + self._end_text)
        return b"".join([self._encode_event(event) for event in events])

    def _encode_event(self, event: Event) -> bytes:
        if isinstance(event, Failed):
            return self._padding.align(b"data: %b" % orjson.dumps(openai_error(problem_for(event.error))))
        if isinstance(event, Token | Refusal | Reasoning | ToolCallDelta | Done):
            first = b"" if self._begin_chunk else self._begin()
            return first + (self._encode_end(event) if isinstance(event, Done) else self._encode_delta(event))
        return b""  # rounds of server tools are not shown

    def _begin(self) -> bytes:
        """Return the first chunk, and prepare the constant bytes of the other ones."""
        frame = orjson.dumps({**self._frame, "model": self.record.model, "system_fingerprint": None})
        self._begin_chunk = b"data: " + frame.removesuffix(b"}")
        self._begin_text = self._begin_chunk + b',"choices":[{"index":0,"delta":{"content":'
        usage = b',"usage":null' if self._includes_usage else b""
        self._end_text = b'},"logprobs":null,"finish_reason":null}]%b' % usage
        return self._encode_choice({"role": "assistant", "content": "", "refusal": None})

    def _encode_delta(self, event: Token | Refusal | Reasoning | ToolCallDelta) -> bytes:
        if isinstance(event, Token):
            return self._padding.close(self._begin_text + orjson.dumps(event.text) + self._end_text)
        if isinstance(event, Refusal):
            return self._encode_choice({"refusal": event.text})
        if isinstance(event, Reasoning):
            # OpenAI sends no reasoning in this format. Servers that do, and their clients, use this name.
            return self._encode_choice({"reasoning_content": event.text})
        return self._encode_choice({"tool_calls": [self._build_call_delta(event)]})

    def _encode_choice(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._encode_chunk([choice], None)

    def _encode_chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> bytes:
        rest: dict[str, Any] = {"choices": choices}
        if self._includes_usage:
            rest["usage"] = usage
        return self._padding.close(b"%b,%b" % (self._begin_chunk, orjson.dumps(rest)[1:-1]))

    def _build_call_delta(self, event: ToolCallDelta) -> dict[str, Any]:
        index = event.position
        self._calls[index] = self._calls.get(index, False) or bool(event.arguments)
        call: dict[str, Any] = {"index": index}
        if event.id:
            call |= {"id": event.id, "type": event.type}
        named = {"name": event.name} if event.name else {}
        return call | _build_called(event.type, named, event.arguments)

    def _encode_end(self, done: Done) -> bytes:
        if tier := read_service_tier(self.record):  # known once the answer is complete
            self._begin_chunk += b',"service_tier":%b' % orjson.dumps(tier)
        chunks = [self._encode_choice({"tool_calls": calls})] if (calls := self._list_unsent(done)) else []
        if done.reasoning_items and (details := build_details(self._seal(done))):
            chunks.append(self._encode_choice(details))
        chunks.append(self._encode_choice({}, map_finish_reason(done.finish_reason, bool(done.tool_calls))))
        if self._includes_usage:
            chunks.append(self._encode_chunk([], None if done.usage is None else done.usage.raw))
        return b"".join([*chunks, _END])

    def _list_unsent(self, done: Done) -> list[dict[str, Any]]:
        """Return what was not streamed: calls of a cached answer, or the arguments `{}` of calls without any."""
        if not self._calls:
            return [{"index": index, **build_tool_call(call)} for index, call in enumerate(done.tool_calls)]
        unsent = [index for index, has_arguments in self._calls.items() if not has_arguments]
        calls = {index: done.tool_calls[index] for index in unsent if index < len(done.tool_calls)}
        return [
            {"index": index, **_build_called(call["type"], {}, call["function"]["arguments"])}
            for index, call in calls.items()
        ]


def build_tool_call(call: ToolCallObject) -> dict[str, Any]:
    """Return a call as in OpenAI's chat completions: of type `custom` if the tool's input is a text."""
    called = call["function"]
    return {
        "id": call["id"],
        "type": call["type"],
        **_build_called(call["type"], {"name": called["name"]}, called["arguments"]),
    }


def _build_called(kind: str, named: dict[str, str], arguments: str) -> dict[str, Any]:
    if kind == "custom":
        return {"custom": {**named, "input": arguments}}
    return {"function": {**named, "arguments": arguments}}


def read_service_tier(record: CallRecord) -> str | None:
    """Return the service tier of a complete answer; None if the upstream does not report it."""
    return record.attempt_log[-1].service_tier if record.attempt_log else None


def map_finish_reason(finish_reason: str, has_tool_calls: bool) -> str:
    """Return one of OpenAI's finish reasons. An answer with an unknown reason counts as complete."""
    if finish_reason == "unknown":
        return "tool_calls" if has_tool_calls else "stop"
    return finish_reason
