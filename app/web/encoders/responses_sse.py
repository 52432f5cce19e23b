"""Encode a stream as the typed events of OpenAI's Responses API, for /v1/responses."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import orjson

from app.openai_service import (
    Annotation,
    CallRecord,
    Done,
    Event,
    Events,
    Failed,
    HostedStep,
    Refusal,
    Thought,
    Token,
    ToolCallDelta,
)
from app.openai_service.chat.shown_usage import show_usage
from app.openai_service.streaming.events import ToolCallObject
from app.web.encoders.base import JoiningEncoder
from app.web.encoders.openai_error import response_error
from app.web.encoders.openai_sse import read_service_tier
from app.web.encoders.padding import Padding
from app.web.encoders.response_object import (
    CALL_INPUTS,
    GrowingCall,
    GrowingMessage,
    GrowingReasoning,
    ResponseFrame,
    Status,
    build_call,
    build_hosted,
    build_message,
    build_refusal,
    build_text,
    fail_hosted,
    find_incomplete_reason,
)
from app.web.errors import problem_for
from app.web.schemas.sealed_reasoning import build_reasoning_item

_PartKind = Literal["output_text", "refusal"]
_EncodedEvent = Token | Refusal | Thought | ToolCallDelta | HostedStep | Annotation | Done | Failed


class ResponsesSse(JoiningEncoder):
    """Encodes typed and numbered server-sent events that build one response: its items and their parts.

    Clients fail at a delta of an item or part that was not started, so each is started first. Reasoning is sealed,
    and rounds of server tools are not shown.

    Attributes:
        record: the record of the call. Its model is known when the first events arrive.
    """

    content_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    heartbeat: ClassVar[bytes] = b": heartbeat\n\n"
    GROWING: ClassVar[tuple[type, ...]] = (*JoiningEncoder.GROWING, GrowingMessage)

    record: CallRecord

    def __init__(self, frame: ResponseFrame, padding: Padding, reasoning: GrowingReasoning | None = None) -> None:
        super().__init__()
        self._frame = frame
        self._padding = padding
        self._reasoning = reasoning or GrowingReasoning()
        self._number = 0
        """The sequence number of the next event."""
        self._output: list[dict[str, Any]] = []
        """The items by index. Open ones are as they were when they started."""
        self._message: GrowingMessage | None = None
        self._part: _PartKind | None = None
        """The kind of the message's open part."""
        self._pieces: list[str] = []
        """The pieces of the open part's text."""
        self._delta = b""
        """The template of the part's delta events, without the number, the text and the end."""
        self._annotations: list[dict[str, Any]] = []
        """The annotations of the open part's text."""
        self._calls: dict[int, GrowingCall] = {}
        self._hosted: dict[int, int] = {}
        """The indexes of hosted tools' items, by position."""

    def encode(self, events: Events) -> bytes:
        """Return the events as bytes."""
        if len(events) == 1 and type(event := events[0]) is Token and self._part == "output_text":  # nearly always
            self._pieces.append(event.text)
            number, self._number = self._number, self._number + 1
            return self._padding.close(self._delta % (number, orjson.dumps(event.text)))
        return self.join(events)

    def encode_event(self, event: Event) -> None:
        """Append the encoded pieces of an event."""
        if not isinstance(event, _EncodedEvent):
            return
        if not self._number:
            begun = self._frame.build("in_progress", self.record.model)
            self._add("response.created", response=begun)
            self._add("response.in_progress", response=begun)
        if isinstance(event, Token):
            self._write("output_text", event.text)
        elif isinstance(event, Refusal):
            self._write("refusal", event.text)
        elif isinstance(event, Thought):
            self._reasoning.pending += event.items
            if self._reasoning.is_requested:
                self._send_reasoning()
        elif isinstance(event, ToolCallDelta):
            self._write_call(event)
        elif isinstance(event, HostedStep):
            self._write_step(event)
        elif isinstance(event, Annotation):
            self._annotate(event.fields)
        elif isinstance(event, Done):
            self._finish(event)
        else:
            self._fail(event.error)

    def _add(self, kind: str, **fields: Any) -> None:
        data = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        self.pieces.append(self._padding.align(b"event: %b\ndata: %b" % (kind.encode(), orjson.dumps(data))))

    def _add_item(self, item: dict[str, Any]) -> None:
        self._add("response.output_item.added", output_index=len(self._output), item=item)
        self._output.append(item)

    def _end_item(self, index: int, item: dict[str, Any]) -> None:
        self._output[index] = item
        self._add("response.output_item.done", output_index=index, item=item)

    def _write(self, kind: _PartKind, text: str) -> None:
        if not text:
            return
        if self._part != kind:
            self._begin_part(kind)
        self._pieces.append(text)
        self.pieces.append(self._padding.close(self._delta % (self._number, orjson.dumps(text))))
        self._number += 1

    def _begin_part(self, kind: _PartKind) -> None:
        message = self._message or self._begin_message()
        self._end_part(message)
        self._part = kind
        where = self._locate_part(message)
        self._add("response.content_part.added", **where, part=_build_part(kind, ""))
        more: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        name = f"response.{kind}.delta"
        data = orjson.dumps({"type": name, **where, **more})[:-1]
        self._delta = b'event: %b\ndata: %b,"sequence_number":%%d,"delta":%%b' % (name.encode(), data)

    def _begin_message(self) -> GrowingMessage:
        index = len(self._output)
        self._message = GrowingMessage(index, self._frame.name_item("msg", index))
        self._add_item(build_message(self._message.id, [], "in_progress"))
        return self._message

    def _locate_part(self, message: GrowingMessage) -> dict[str, Any]:
        return {
            "item_id": message.id,
            "output_index": message.index,
            "content_index": len(message.content),
        }

    def _end_part(self, message: GrowingMessage) -> None:
        if self._part is None:
            return
        text, where = "".join(self._pieces), self._locate_part(message)
        part = build_refusal(text) if self._part == "refusal" else build_text(text, self._annotations)
        if self._part == "output_text":
            self._add("response.output_text.done", **where, text=text, logprobs=[])
        else:
            self._add("response.refusal.done", **where, refusal=text)
        self._add("response.content_part.done", **where, part=part)
        message.content.append(part)
        self._part, self._pieces, self._annotations = None, [], []

    def _annotate(self, annotation: dict[str, Any]) -> None:
        if self._part != "output_text" or (message := self._message) is None:
            return
        where = self._locate_part(message)
        number = len(self._annotations)
        self._annotations.append(annotation)
        name = "response.output_text.annotation.added"
        self._add(name, **where, annotation_index=number, annotation=annotation)

    def _end_message(self, status: Status) -> None:
        if (message := self._message) is None:
            return
        self._end_part(message)
        self._message = None
        self._end_item(message.index, build_message(message.id, message.content, status))

    def _send_reasoning(self) -> None:
        index = len(self._output)
        if (sealed := self._reasoning.seal_pending(index)) is None:
            return
        self._end_message("completed")
        item = build_reasoning_item(self._frame.name_item("rs", index), sealed)
        self._add_item({**item, "encrypted_content": ""})  # like OpenAI, which sends it complete at the end
        self._end_item(index, item)

    def _write_step(self, step: HostedStep) -> None:
        if step.kind == "added":
            self._end_message("completed")
            index = self._hosted[step.position] = len(self._output)
            self._add_item(build_hosted(self._frame, index, step.fields))
            return
        index = self._hosted[step.position]
        if step.kind == "done":
            self._end_item(index, build_hosted(self._frame, index, step.fields))
        else:
            self._add(step.kind, item_id=self._output[index]["id"], output_index=index, **step.fields)

    def _write_call(self, delta: ToolCallDelta) -> None:
        call = self._calls.setdefault(delta.position, GrowingCall(type=delta.type))
        call.id, call.name = call.id or delta.id, call.name or delta.name
        if delta.arguments:
            call.pending.append(delta.arguments)
        if call.id and call.name and call.type in CALL_INPUTS:
            self._begin_call(call, "")
        if call.index is not None:
            self._send_arguments(call, "".join(call.pending))
            call.pending.clear()

    def _begin_call(self, call: GrowingCall, arguments: str) -> int:
        """Start the item of a call if it is not started, and return its index."""
        if call.index is None:
            self._send_reasoning()
            self._end_message("completed")
            call.index = len(self._output)
            begun = {"id": call.id, "type": call.type, "function": {"name": call.name, "arguments": arguments}}
            self._add_item(build_call(self._frame, call.index, begun, "in_progress"))
        return call.index

    def _send_arguments(self, call: GrowingCall, piece: str) -> None:
        if not piece or call.index is None:
            return
        call.sent.append(piece)
        name = f"{CALL_INPUTS[call.type][0]}.delta"
        data = {"type": name, "item_id": self._output[call.index]["id"], "output_index": call.index}
        data |= {"sequence_number": self._number, "delta": piece}
        self._number += 1
        self.pieces.append(self._padding.close(b"event: %b\ndata: %b" % (name.encode(), orjson.dumps(data)[:-1])))

    def _end_call(self, position: int, complete: ToolCallObject, status: Status) -> None:
        """End the item of a call, and start it first for a call of a cached answer or of a computer."""
        name, arguments = complete["function"]["name"], complete["function"]["arguments"]
        call = self._calls.setdefault(position, GrowingCall(complete["id"], name, complete["type"]))
        index = self._begin_call(call, "" if call.type in CALL_INPUTS else arguments)
        item = build_call(self._frame, index, complete, status)
        if call.type in CALL_INPUTS:
            sent = "".join(call.sent)
            if arguments.startswith(sent):  # `{}` for a call without arguments
                self._send_arguments(call, arguments.removeprefix(sent))
            event, field = CALL_INPUTS[call.type]
            named = {"name": name} if call.type == "function" else {}
            self._add(f"{event}.done", item_id=item["id"], output_index=index, **named, **{field: arguments})
        self._end_item(index, item)

    def _finish(self, done: Done) -> None:
        reason = find_incomplete_reason(done.finish_reason)
        status: Status = "incomplete" if reason else "completed"
        if len(self._output) == len(self._reasoning.sent) and not done.tool_calls:
            self._begin_part("output_text")  # an empty answer is a turn of the conversation, too
        self._end_message(status)
        for position, call in enumerate(done.tool_calls):
            self._end_call(position, call, status)
        for index, sealed in self._reasoning.reseal_sent(done):
            self._output[index] = {**self._output[index], "encrypted_content": sealed}
        tier = read_service_tier(self.record)
        end: dict[str, Any] = {"usage": done.usage, "tier": tier, "incomplete_reason": reason}
        self._add(f"response.{status}", response=self._frame.build(status, done.model, self._output, **end))

    def _fail(self, error: Exception) -> None:
        described = response_error(problem_for(error))["error"]
        self._end_message("incomplete")
        for call in self._calls.values():  # their items are not ended, so that clients do not run them
            if call.index is not None:
                field = CALL_INPUTS[call.type][1]
                self._output[call.index] |= {"status": "incomplete", field: "".join(call.sent)}
        for index in self._hosted.values():
            self._output[index] = fail_hosted(self._output[index])
        response = self._frame.build(
            "failed",
            self.record.model,
            self._output,
            usage=show_usage(self.record.usage, self.record),
            tier=read_service_tier(self.record),
        )
        response["error"] = {"code": described["code"], "message": described["message"]}
        self._add("response.failed", response=response)


def _build_part(kind: _PartKind, text: str) -> dict[str, Any]:
    return build_text(text) if kind == "output_text" else build_refusal(text)
