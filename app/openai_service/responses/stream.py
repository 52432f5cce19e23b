"""ResponseReader: parses the events of a streamed response, as `ChunkReader` does those of a chat completion.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app.models.token_counts import Usage, note_tokens
from app.openai_service.answers.text import TextEvent, TextJoiner, mend, read_json_with_halves
from app.openai_service.answers.tool_calls import ToolCalls
from app.openai_service.errors import UpstreamFailed, UpstreamTruncated
from app.openai_service.responses.answer import is_response, make_answer_id
from app.openai_service.responses.event_order import EventOrder
from app.openai_service.responses.growing_output import GrowingItem, GrowingOutput, make_text_event
from app.openai_service.responses.hosted_tools import STEP_EVENTS
from app.openai_service.responses.output import read_end, read_failure, read_usage
from app.openai_service.streaming.events import Done, Events, Reasoning, Refusal, Token
from app.openai_service.streaming.sse import MAX_EVENT_BYTES, EventSplitter

_END = b"[DONE]"  # not OpenAI's, but other servers end every stream with it
_DELTA_EVENT = b'{"type":"response.output_text.delta",'
_DELTA = b'"delta":"'
_BACKSLASH = ord("\\")
_REASONING = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")
_ARGUMENTS = ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta")
_LAST = ("response.completed", "response.incomplete", "response.failed")
# No sign that the model is at work.
_IDLE = "keepalive"


class ResponseReader:
    """Reads the bytes of one answer in order, and collects what its Done event needs.

    A terminal event ends the answer, if it is one of the response that the stream began with; or, of servers that have
    none, `[DONE]` after something was said.
    """

    def __init__(self, requested: str, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        """Create it for the answer of a requested model."""
        self.model = ""
        self.chunks = 0
        """The number of parsed events, without those that contain only a piece of text."""
        self.is_done = False
        """Whether a terminal event has come."""
        self.usage: Usage | None = None
        """The usage of the answer, once it has ended, be it by a failure."""
        self.service_tier = ""
        """The one that the response reports, if it does."""
        self._splitter = EventSplitter(max_event_bytes)
        self._order = EventOrder()
        self._response_id = ""
        self._output = GrowingOutput(requested)
        self._joiner = TextJoiner()
        self._has_text = False
        # The item that pieces of the answer's text belong to, as it is named in their events.
        self._answer = b""

    def feed(self, data: bytes, events: Events) -> None:
        """Append to `events` the events that these bytes complete; Done is the last one.

        Raises:
            UpstreamTruncated: the stream ended without a terminal event.
            UpstreamFailed: the data is not a stream of a response.
            UpstreamError: the response failed, or the stream contains an error.
        """
        halves = self._joiner.waiting
        for arrived in self._splitter.feed(data):
            if arrived[-1:] != b"}" and arrived.strip() == _END:
                self.end(events, is_said=True)
                return
            for raw in self._order.arrange(arrived):
                if self._answer and not halves and (text := self._read_plain_token(raw)):
                    events.append(Token(text))
                else:
                    self._read(raw, events)
                    if self.is_done:
                        return

    @property
    def text_frame(self) -> tuple[bytes, bytes]:
        """What comes before and after the text of an event: never known, as events are numbered."""
        return b"", b""

    def read_tokens(self, data: bytes) -> Events:
        """Return the tokens of events that contain only text; none, and nothing is read, if there is anything else."""
        if not self._answer or self.is_done or self._joiner.waiting:
            return []
        found = self._splitter.feed_whole(data)
        events: Events = []
        for raw in found:
            if not (text := self._read_plain_token(raw)):
                return []
            events.append(Token(text))
        return events if self._order.take(found) else []

    def end(self, events: Events, *, is_said: bool = False) -> None:
        """Append the last events of a stream that has ended, or whose end was said. Raises the errors of feed()."""
        for raw in [*self._splitter.end(), *self._order.end()]:
            if raw.strip() == _END:
                is_said = True
            elif not self.is_done:
                self._read(raw, events)
        if is_said and self._has_text and not self.is_done:
            events += self._finish({"status": None})
        if not self.is_done:
            events += self._joiner.flush()
            raise UpstreamTruncated if self.chunks else UpstreamFailed

    @property
    def hosted_calls(self) -> Mapping[str, int]:
        """The calls of tools that ran at the upstream so far, by type."""
        return self._output.hosted_calls

    def usage_so_far(self) -> Usage | None:
        """Return what is known of the usage of an answer that has not come to its end: nothing before that."""
        return None

    def _read_plain_token(self, raw: bytes) -> str | None:
        """Return the text of an event that contains only a piece of the answer's text; None for any other event.

        The text is sliced rather than parsed: on a stream of single tokens, parsing is most of the work. A quote within
        a text is escaped, so what is found here can only be the fields' names.
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
        joiner = self._joiner if self._joiner.waiting else None
        try:
            event = orjson.loads(raw)
        except orjson.JSONDecodeError:
            event, joiner = _read_with_halves(raw), self._joiner
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
        events += self._output.precede(found)

    def _read_response(self, kind: str, event: dict[str, Any]) -> Events:
        """Read an event of the whole response, or an error. Unknown ones are passed over.

        The response itself in place of events is the whole answer of a server that does not stream.
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
        """Note which response this is, and return False if the stream began with another one."""
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
        for place, item in enumerate(output if isinstance(output, list) else ()):
            events += self._output.precede(self._output.complete({"item": item, "output_index": place}))
        events += self._joiner.flush()
        answer = self._output.finish()
        wrote = self._has_text or bool(events or answer.calls)
        self.usage = read_usage(response, wrote=wrote)
        note_tokens(answer.kept, self.usage)
        if response["status"] == "failed":
            raise read_failure(response.get("error")).paid_for(self.usage)
        tool_calls = ToolCalls.read(answer.calls) if answer.calls else []
        finish_reason = read_end(response, has_calls=bool(tool_calls))
        self.is_done = True
        done = Done(
            finish_reason,
            self.usage,
            self.model,
            make_answer_id(self._response_id),
            tool_calls,
            reasoning_items=answer.kept,
        )
        return [*events, *self._output.precede([done])]

    def _note_answer(self, item: GrowingItem, event: dict[str, Any]) -> None:
        item.has_text = True
        id_ = event.get("item_id")
        if item.kind == "message" and isinstance(id_, str):
            self._answer = b'"item_id":"%b"' % id_.encode("utf-8", "replace")


def _read_delta(event: dict[str, Any], joiner: TextJoiner | None, make_event: Any) -> Events:
    text = event.get("delta")
    if not isinstance(text, str) or not text:
        return []
    made: TextEvent = make_event(text)
    if joiner is not None:
        made = joiner.join(made)
    return [made] if made.text else []


def _read_with_halves(raw: bytes) -> Any:
    """Return an event that has half a letter somewhere; only its delta keeps it."""
    try:
        whole = read_json_with_halves(raw)
    except ValueError:
        raise UpstreamFailed from None
    event = mend(whole)
    if isinstance(whole, dict) and isinstance(whole.get("delta"), str):
        event["delta"] = whole["delta"]
    return event
