"""Encode a stream as the AI SDK's UI message stream, version 1, for `useChat` of ai 5, 6 and 7."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import orjson

from app.openai_service import Done, Event, Failed, Refusal, Token, ToolRun
from app.openai_service.streaming.events import Reasoning, ToolCallDelta, ToolCallObject
from app.web.encoders.base import PartsEncoder
from app.web.encoders.call_ids import CallIds
from app.web.encoders.padding import Padding
from app.web.errors import problem_for
from app.web.replays.client import StreamStopped
from app.web.schemas.sealed_reasoning import Seal, seal_nothing

_FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_calls": "tool-calls",
}
_TOOL_FAILED = "The tool failed."
_NOT_JSON = "The model's input for this tool is not valid JSON."


class UIMessageStream(PartsEncoder):
    """Encodes server-sent events that build one message: its steps, and their parts of text, reasoning and tools.

    Clients fail at an unknown type, and at a delta of a part that was not started. So only types that all three
    versions know are sent, and each part is started first.

    Args:
        message_id: the id of the message.
        call_ids: assigns the ids of the answer's tool calls.
        padding: pads the events.
        request_id: the id of the request, for errors.
        seal: encrypts the model's reasoning.
    """

    content_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    heartbeat: ClassVar[bytes] = b": heartbeat\n\n"

    def __init__(
        self,
        message_id: str,
        *,
        call_ids: CallIds,
        padding: Padding,
        request_id: str,
        seal: Seal = seal_nothing,
    ) -> None:
        super().__init__(padding)
        self._message_id = message_id
        self._call_ids = call_ids
        self._request_id = request_id
        self._seal = seal
        self.read_cost: Callable[[], int | None] = lambda: None
        """Returns the cost of the finished call in micro-dollars; None if it is unknown."""
        self._has_started = False
        self._parts = 0
        self._running: set[str] = set()
        """The ids of the running server tools."""
        self._has_run_tools = False
        """Whether server tools ran in this step; the model's next output then begins another step."""
        self._calls: dict[int, str] = {}
        """The ids of the started calls, by position."""

    def encode_event(self, event: Event) -> None:
        """Append the encoded pieces of an event."""
        if not self._has_started:
            self._has_started = True
            self._add({"type": "start", "messageId": self._message_id})
            self._add({"type": "start-step"})
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

    def _add(self, data: dict[str, Any]) -> None:
        self.pieces.append(self.padding.align(b"data: %b" % orjson.dumps(data)))

    def _write(self, kind: Literal["text", "reasoning"], text: str) -> None:
        if not text:
            return
        self._begin_step_after_tools()
        if self.open_part != kind:
            self._end_part()
            self._parts += 1
            self.open_part = kind
            self._add({"type": f"{kind}-start", "id": str(self._parts)})
            self.delta = b'data: {"type":"%b-delta","id":"%d","delta":%%b' % (kind.encode(), self._parts)
        self.pieces.append(self.padding.close(self.delta % orjson.dumps(text)))

    def _end_part(self) -> None:
        if self.open_part is not None:
            self._add({"type": f"{self.open_part}-end", "id": str(self._parts)})
            self.open_part = None

    def _begin_step_after_tools(self) -> None:
        if self._has_run_tools and not self._running:
            self._has_run_tools = False
            self._end_part()
            self._add({"type": "finish-step"})
            self._add({"type": "start-step"})

    def _write_call(self, delta: ToolCallDelta) -> None:
        if delta.id and delta.name:
            self._end_part()
            self._calls[delta.position] = self._call_ids.rename(delta.id)
            self._add(
                {
                    "type": "tool-input-start",
                    "toolCallId": self._calls[delta.position],
                    "toolName": delta.name,
                }
            )
        if delta.arguments and (id_ := self._calls.get(delta.position)):
            self._add({"type": "tool-input-delta", "toolCallId": id_, "inputTextDelta": delta.arguments})

    def _write_run(self, run: ToolRun) -> None:
        # The arguments and results of server tools are not sent. `dynamic`: the page does not have to declare the
        # tool.
        chunk = {"toolCallId": self._call_ids.rename(run.id), "providerExecuted": True, "dynamic": True}
        if run.status == "running":
            self._begin_step_after_tools()
            self._end_part()
            self._running.add(run.id)
            self._add({"type": "tool-input-available", **chunk, "toolName": run.name, "input": {}})
            return
        self._running.discard(run.id)
        self._has_run_tools = True
        if run.status == "done":
            self._add({"type": "tool-output-available", **chunk, "output": {"status": run.status, "ms": run.ms}})
        else:
            self._add({"type": "tool-output-error", **chunk, "errorText": _TOOL_FAILED})

    def _finish(self, done: Done) -> None:
        self._end_part()
        for call in done.tool_calls:
            self._finish_call(call)
        self._add({"type": "finish-step"})
        metadata: dict[str, Any] = {
            "usage": done.usage and done.usage.raw,
            "model": done.model,
            "id": done.id,
        }
        if (cost := self.read_cost()) is not None:
            metadata["costMicroUsd"] = cost
        if done.trimmed:
            metadata["trimmed"] = done.trimmed
        if done.is_cached:
            metadata["cached"] = True
        if sealed := self._seal(done):
            # Keyed by call, as the SDK merges the metadata of all answers that continue one message.
            metadata["reasoning"] = {self._call_ids.rename(done.tool_calls[0]["id"]): sealed}
        reason = _FINISH_REASONS.get(done.finish_reason, "other")
        self._add({"type": "finish", "finishReason": reason, "messageMetadata": metadata})
        self.pieces.append(b"data: [DONE]\n\n")

    def _finish_call(self, call: ToolCallObject) -> None:
        chunk = {"toolCallId": self._call_ids.rename(call["id"]), "toolName": call["function"]["name"]}
        arguments = call["function"]["arguments"]
        try:
            value = orjson.loads(arguments)
        except orjson.JSONDecodeError:
            self._add({"type": "tool-input-error", **chunk, "input": arguments, "errorText": _NOT_JSON})
        else:
            self._add({"type": "tool-input-available", **chunk, "input": value})

    def _fail(self, error: Exception) -> None:
        self._end_part()
        if isinstance(error, StreamStopped):  # by its user, so it is no error
            self._add({"type": "abort"})
            self.pieces.append(b"data: [DONE]\n\n")
            return
        problem = problem_for(error)
        # Clients show errorText; the other two fields are for the page's own code.
        self._add(
            {
                "type": "error",
                "errorText": problem.message,
                "code": problem.code,
                "requestId": self._request_id,
            }
        )
        self.pieces.append(b"data: [DONE]\n\n")
