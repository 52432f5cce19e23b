"""ResponseReader: parses the events of a streamed response, as `ChunkReader` parses chunks of a chat completion.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app.models.token_counts import Usage, note_tokens
from app.openai_service.answers.text import TextEvent, TextJoiner, read_json_with_surrogates, repair_surrogates
from app.openai_service.answers.tool_calls import ToolCalls
from app.openai_service.errors import UpstreamFailed, UpstreamTruncated
from app.openai_service.responses.answer import is_response, make_answer_id
from app.openai_service.responses.event_order import EventOrder
from app.openai_service.responses.growing_output import GrowingItem, GrowingOutput, make_text_event
from app.openai_service.responses.hosted_tools import STEP_EVENTS
from app.openai_service.responses.output import read_end, read_failure, read_usage
from app.openai_service.streaming.events import Done, Events, Reasoning, Refusal, Token
from app.openai_service.streaming.sse import MAX_EVENT_BYTES, EventSplitter

_END = b"[DONE]"  # OpenAI does not send it here; other servers end every stream with it
_DELTA_EVENT = b'{"type":"response.output_text.delta",'
_DELTA = b'"delta":"'
_BACKSLASH = ord("\\")
_REASONING = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")
_ARGUMENTS = ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta")
_LAST = ("response.completed", "response.incomplete", "response.failed")
# Does not show that the model is at work.
_IDLE = "keepalive"


class ResponseReader:
    """Parses the bytes of one answer in order, and collects the fields of its Done event.

    The answer ends with a terminal event of the response with which the stream started. On servers without terminal
    events, it ends with `[DONE]` once there is some output.
    """

    def __init__(self, requested: str, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        """Create it for the answer of a requested model."""
        self.model = ""
        self.chunks = 0
        """The number of parsed events, without those that contain only a piece of text."""
        self.is_done = False
        """Whether a terminal event has arrived."""
        self.usage: Usage | None = None
        """The usage of the answer once it has ended, even if it failed."""
        self.service_tier = ""
        """The latest value in the response; empty if it has none."""
        self._splitter = EventSplitter(max_event_bytes)
        self._order = EventOrder()
        self._response_id = ""
        self._output = GrowingOutput(requested)
        self._joiner = TextJoiner()
        self._has_text = False
        # The item id of the answer's message, as the events with its text contain it.
        self._answer = b""

    def feed(self, data: bytes, events: Events) -> None:
        """Append to `events` the events that these bytes complete; Done is the last one.

        Raises:
            UpstreamTruncated: the stream ended without a terminal event.
            UpstreamFailed: the data is not a stream of a response.
            UpstreamError: the response failed, or the stream contains an error.
        """
        pending = self._joiner.pending
        for arrived in self._splitter.feed(data):
            if arrived[-1:] != b"}" and arrived.strip() == _END:
                self.end(events, has_end_marker=True)
                return
            for raw in self._order.arrange(arrived):
                if self._answer and not pending and (text := self._read_plain_token(raw)):
                    events.append(Token(text))
                else:
                    self._read(raw, events)
                    if self.is_done:
                        return

    @property
    def text_frame(self) -> tuple[bytes, bytes]:
        """The frame of a text-only event: never known, since each event has another number."""
        return b"", b""

    def read_tokens(self, data: bytes) -> Events:
        """Return the tokens of text-only events. If the data contains anything else, return [] and consume nothing."""
        if not self._answer or self.is_done or self._joiner.pending:
            return []
        found = self._splitter.feed_whole(data)
        events: Events = []
        for raw in found:
            if not (text := self._read_plain_token(raw)):
                return []
            events.append(Token(text))
        return events if self._order.accept(found) else []

    def end(self, events: Events, *, has_end_marker: bool = False) -> None:
        """Append the last events of a stream that has ended. Raises the errors of feed().

        Args:
            events: appended to.
            has_end_marker: whether `[DONE]` has arrived.
        """
        for raw in [*self._splitter.end(), *self._order.end()]:
            if raw.strip() == _END:
                has_end_marker = True
            elif not self.is_done:
                self._read(raw, events)
        if has_end_marker and self._has_text and not self.is_done:
            events += self._finish({"status": None})
        if not self.is_done:
            events += self._joiner.flush()
            raise UpstreamTruncated if self.chunks else UpstreamFailed

    @property
    def hosted_calls(self) -> Mapping[str, int]:
        """The number of calls of hosted tools so far, by type."""
        return self._output.hosted_calls

    def usage_so_far(self) -> Usage | None:
        """Return None: the usage is reported only at the end."""
        return None

    def _read_plain_token(self, raw: bytes) -> str | None:
        """Return the text of an event that contains only a piece of the answer's text; None for any other event.

        The text is sliced rather than parsed: on a stream of single tokens, parsing is most of the work. Quotes within
        a text are escaped, so a match can only be the name of a field.
        """
        start = raw.find(_DELTA) if raw.startswith(_DELTA_EVENT) and raw.find(self._answer) >= 0 else -1
        if start < 0:
            return None
        start += len(_DELTA)
        text = raw[start : raw.find(b'"', start)]
        if _BACKSLASH in text:
            return None
        try:
            return text.decode()
        except UnicodeDecodeError:
            return None

    def _read(self, raw: bytes, events: Events) -> None:
        joiner = self._joiner if self._joiner.pending else None
        try:
            event = orjson.loads(raw)
        except orjson.JSONDecodeError:
            event, joiner = _read_with_surrogates(raw), self._joiner
        if not isinstance(event, dict):
            raise UpstreamFailed
        kind = event.get("type")
        if kind == _IDLE:
            return
        self.chunks += 1
        if kind == "response.output_text.delta":
            item = self._output.find_message(event)
            self._note_answer(item, event)
            found: Events = _read_delta(event, joiner, lambda text: make_text_event(item, text))
        elif kind == "response.refusal.delta":
            self._output.find_message(event).has_text = True
            found = _read_delta(event, joiner, Refusal)
        elif kind in _REASONING:
            found = _read_delta(event, joiner, Reasoning)
        elif kind in _ARGUMENTS:
            found = self._output.add_arguments(event)
        elif kind == "response.output_item.added":
            found = self._output.begin(event)
        elif kind == "response.output_item.done":
            found = self._output.complete(event)
        elif kind == "response.output_text.annotation.added":
            found = self._output.annotate(event)
        elif isinstance(kind, str) and kind.startswith(STEP_EVENTS):
            found = self._output.add_step(kind, event)
        else:
            found = self._read_response(str(kind), event)
        self._has_text = self._has_text or bool(found)
        events += self._output.prepend_reasoning(found)

    def _read_response(self, kind: str, event: dict[str, Any]) -> Events:
        """Read an event with the complete response, or an error event. Ignore unknown events.

        A server that does not stream sends the response itself instead of events.
        """
        if is_response(event):
            return self._finish({"status": None, **event}) if self._note_response(event) else []
        response = event.get("response")
        if kind == "error" or (event.get("error") and not isinstance(response, dict)):
            raise read_failure(event.get("error") or event)
        if not isinstance(response, dict) or not self._note_response(response):
            return []
        return self._finish({**response, "status": kind.rpartition(".")[2]}) if kind in _LAST else []

    def _note_response(self, response: dict[str, Any]) -> bool:
        """Store the response's id, model and tier. Return False if the stream started with another response."""
        id_ = response.get("id")
        if isinstance(id_, str):
            self._response_id = self._response_id or id_
            if id_ != self._response_id:
                return False
        if isinstance(response.get("model"), str):
            self.model = self.model or response["model"]
        if isinstance(response.get("service_tier"), str):
            self.service_tier = response["service_tier"]
        return True

    def _finish(self, response: dict[str, Any]) -> Events:
        events: Events = []
        output = response.get("output")
        for index, item in enumerate(output if isinstance(output, list) else ()):
            events += self._output.prepend_reasoning(self._output.complete({"item": item, "output_index": index}))
        events += self._joiner.flush()
        answer = self._output.finish()
        wrote = self._has_text or bool(events or answer.calls)
        self.usage = read_usage(response, wrote=wrote)
        note_tokens(answer.reasoning_items, self.usage)
        if response["status"] == "failed":
            raise read_failure(response.get("error")).with_billed_usage(self.usage)
        tool_calls = ToolCalls.read(answer.calls) if answer.calls else []
        finish_reason = read_end(response, has_calls=bool(tool_calls))
        self.is_done = True
        done = Done(
            finish_reason,
            self.usage,
            self.model,
            make_answer_id(self._response_id),
            tool_calls,
            reasoning_items=answer.reasoning_items,
        )
        return [*events, *self._output.prepend_reasoning([done])]

    def _note_answer(self, item: GrowingItem, event: dict[str, Any]) -> None:
        item.has_text = True
        id_ = event.get("item_id")
        if item.kind == "message" and isinstance(id_, str):
            self._answer = b'"item_id":"%b"' % id_.encode("utf-8", "replace")


def _read_delta(event: dict[str, Any], joiner: TextJoiner | None, make_event: Any) -> Events:
    text = event.get("delta")
    if not isinstance(text, str) or not text:
        return []
    text_event: TextEvent = make_event(text)
    if joiner is not None:
        text_event = joiner.join(text_event)
    return [text_event] if text_event.text else []


def _read_with_surrogates(raw: bytes) -> Any:
    """Parse an event with lone surrogates. They are repaired in all fields except `delta`, where TextJoiner does it."""
    try:
        raw_event = read_json_with_surrogates(raw)
    except ValueError:
        raise UpstreamFailed from None
    event = repair_surrogates(raw_event)
    if isinstance(raw_event, dict) and isinstance(raw_event.get("delta"), str):
        event["delta"] = raw_event["delta"]
    return event
