"""Encode a stream as the events of AG-UI 1.0, for /api/agui."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import orjson

from app.models.token_counts import Usage
from app.openai_service import Done, Event, Failed, Refusal, Token, ToolRun
from app.openai_service.streaming.events import Reasoning, ToolCallDelta, ToolCallObject
from app.web.encoders.base import PartsEncoder
from app.web.encoders.call_ids import CallIds
from app.web.encoders.padding import Padding
from app.web.errors import problem_for
from app.web.schemas.frameworks.agui import SERVER_CALL_PREFIX
from app.web.schemas.sealed_reasoning import Seal, seal_nothing

_PROTOCOL_VERSION = "1.0"
PADDING = "rawEvent"
"""The field of an event that holds the padding. AG-UI allows any value in it, and clients discard it.

Clients log a warning for fields that they do not know.
"""

_COUNTS = {
    "inputTokens": "prompt_tokens",
    "outputTokens": "completion_tokens",
    "cachedInputTokens": "cached_tokens",
    "cacheWriteInputTokens": "cache_write_tokens",
    "reasoningTokens": "reasoning_tokens",
}


class Agui(PartsEncoder):
    """Encodes the events of one run as server-sent events.

    Open messages and calls are ended before the run is. Optional fields are omitted instead of null.

    Args:
        run: the `threadId` of the conversation and the `runId` of the run, as the client sent them.
        token: a part of all message ids, which makes them unique to this run.
        call_ids: assigns the ids of the answer's tool calls.
        padding: pads the events, in the field PADDING.
        request_id: the id of the request, for errors.
        seal: encrypts the reasoning before tool calls, for the next run.
    """

    content_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    heartbeat: ClassVar[bytes] = b": heartbeat\n\n"

    def __init__(
        self,
        run: Mapping[str, str],
        *,
        token: str,
        call_ids: CallIds,
        padding: Padding,
        request_id: str,
        seal: Seal = seal_nothing,
    ) -> None:
        super().__init__(padding)
        self._run = run
        self._token = token
        self._call_ids = call_ids
        self._request_id = request_id
        self._seal = seal
        self.read_cost: Callable[[], int | None] = lambda: None
        """Returns the cost of the finished call in micro-dollars; None if it is unknown."""
        self._has_started = False
        self._messages = 0
        self._open_id = ""
        self._parent_id: str | None = None
        """The id of the assistant message that tool calls belong to."""
        self._has_run_tools = False
        """Whether server tools ran since that message; the next tool call then needs a new one."""
        self._calls: dict[int, str] = {}
        """The ids of the open calls, by position."""
        self._with_arguments: set[str] = set()

    def encode_event(self, event: Event) -> None:
        """Append the encoded pieces of an event."""
        if not self._has_started:
            self._has_started = True
            self._add("RUN_STARTED", **self._run, protocolVersion=_PROTOCOL_VERSION)
        if isinstance(event, Token | Refusal):
            self._write("text", event.text)
        elif isinstance(event, Reasoning):
            self._write("reasoning", event.text)
        elif isinstance(event, ToolCallDelta):
            self._write_call(event)
        elif isinstance(event, ToolRun):
            self._write_run(event)
        elif isinstance(event, Done):
            self._finish(event)
        elif isinstance(event, Failed):
            self._fail(event.error)

    def _add(self, kind: str, **fields: Any) -> None:
        self.pieces.append(self.padding.align(b"data: %b" % orjson.dumps({"type": kind, **fields})))

    def _begin_message(self) -> str:
        self._messages += 1
        return f"msg_{self._token}_{self._messages}"

    def _write(self, kind: Literal["text", "reasoning"], text: str) -> None:
        if not text:
            return
        if self.open_part != kind:
            self._end_message()
            self.open_part, id_ = kind, self._begin_message()
            self._open_id = id_
            if kind == "text":
                self._parent_id, self._has_run_tools = id_, False
                name = "TEXT_MESSAGE"
                self._add("TEXT_MESSAGE_START", messageId=id_, role="assistant")
            else:
                name = "REASONING_MESSAGE"
                self._add("REASONING_START", messageId=id_)
                self._add("REASONING_MESSAGE_START", messageId=id_, role="reasoning")
            head = {"type": f"{name}_CONTENT", "messageId": id_}
            self.delta = b'data: %b,"delta":%%b' % orjson.dumps(head)[:-1]
        self.pieces.append(self.padding.close(self.delta % orjson.dumps(text)))

    def _end_message(self) -> None:
        if self.open_part == "text":
            self._add("TEXT_MESSAGE_END", messageId=self._open_id)
        elif self.open_part == "reasoning":
            self._add("REASONING_MESSAGE_END", messageId=self._open_id)
            self._add("REASONING_END", messageId=self._open_id)
        self.open_part = None

    def _start_call(self, id_: str, name: str) -> None:
        self._end_message()
        if self._parent_id is None or self._has_run_tools:
            self._parent_id, self._has_run_tools = self._begin_message(), False
        self._add("TOOL_CALL_START", toolCallId=id_, toolCallName=name, parentMessageId=self._parent_id)

    def _write_call(self, delta: ToolCallDelta) -> None:
        if delta.id and delta.name:
            self._calls[delta.position] = self._call_ids.rename(delta.id)
            self._start_call(self._calls[delta.position], delta.name)
        if delta.arguments and (id_ := self._calls.get(delta.position)):
            self._with_arguments.add(id_)
            self._add("TOOL_CALL_ARGS", toolCallId=id_, delta=delta.arguments)

    def _finish_call(self, position: int, call: ToolCallObject) -> None:
        id_ = self._calls.pop(position, None)
        if id_ is None:  # not started yet, as its name arrived after its arguments
            id_ = self._call_ids.rename(call["id"])
            self._start_call(id_, call["function"]["name"])
        if id_ not in self._with_arguments:
            self._add("TOOL_CALL_ARGS", toolCallId=id_, delta=call["function"]["arguments"])
        self._add("TOOL_CALL_END", toolCallId=id_)

    def _write_run(self, run: ToolRun) -> None:
        # The arguments and results of server tools are not sent to the client.
        id_ = f"{SERVER_CALL_PREFIX}{self._token}_{run.id}"
        if run.status == "running":
            self._start_call(id_, run.name)
            self._add("TOOL_CALL_ARGS", toolCallId=id_, delta="{}")
            self._add("TOOL_CALL_END", toolCallId=id_)
            return
        self._has_run_tools = True
        content = orjson.dumps({"status": run.status, "ms": run.ms}).decode()
        self._add(
            "TOOL_CALL_RESULT", messageId=self._begin_message(), toolCallId=id_, content=content, role="tool"
        )

    def _finish(self, done: Done) -> None:
        for position, call in enumerate(done.tool_calls):
            self._finish_call(position, call)
        self._end_all()
        pending = [self._call_ids.rename(call["id"]) for call in done.tool_calls]
        if sealed := self._seal(done):
            # Clients store it with the call, and return it in the next request.
            self._add("REASONING_ENCRYPTED_VALUE", subtype="tool-call", entityId=pending[0], encryptedValue=sealed)
        outcome = {"type": "success", **({"pendingToolCallIds": pending} if pending else {})}
        metadata: dict[str, Any] = {"finishReason": done.finish_reason, "model": done.model, "id": done.id}
        if (cost := self.read_cost()) is not None:
            metadata["costMicroUsd"] = cost
        if done.trimmed:
            metadata["trimmed"] = done.trimmed
        if done.is_cached:
            metadata["cached"] = True
        usage = {} if done.usage is None else {"usage": [_count(done.model, done.usage)]}
        self._add("RUN_FINISHED", **self._run, outcome=outcome, **usage, metadata=metadata)

    def _fail(self, error: Exception) -> None:
        problem = problem_for(error)
        self._end_all()
        self._add(
            "RUN_ERROR", message=problem.message, code=problem.code, metadata={"requestId": self._request_id}
        )

    def _end_all(self) -> None:
        self._end_message()
        for id_ in self._calls.values():
            self._add("TOOL_CALL_END", toolCallId=id_)
        self._calls.clear()


def _count(model: str, usage: Usage) -> dict[str, Any]:
    """Return a usage under AG-UI's names, without unknown counts."""
    counts = {name: getattr(usage, field) for name, field in _COUNTS.items()}
    if usage.prompt_tokens is not None and usage.completion_tokens is not None:
        counts["totalTokens"] = usage.prompt_tokens + usage.completion_tokens
    return {"model": model, **{name: count for name, count in counts.items() if count is not None}}
