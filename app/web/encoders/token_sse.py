"""Encode a stream as `data: {"token": …}` events, then one event with `"done": true`."""

from __future__ import annotations

from typing import Any, ClassVar

import orjson

from app.openai_service import Done, Event, Events, Failed, Refusal, Token, ToolRun
from app.openai_service.streaming.passing import TokenFrame
from app.web.encoders.padding import Padding
from app.web.errors import api_error, problem_for
from app.web.schemas.chat import build_end, describe_tool_run
from app.web.schemas.sealed_reasoning import Seal, seal_nothing


class TokenSse:
    """Encodes padded server-sent events of `data: ` and JSON on one line.

    The events have no other field, such as `event:`, as many clients cannot read one.
    """

    content_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    heartbeat: ClassVar[bytes] = b": heartbeat\n\n"

    def __init__(self, request_id: str, padding: Padding, seal: Seal = seal_nothing) -> None:
        self._request_id = request_id
        self._padding = padding
        self._seal = seal
        self.token_frame = TokenFrame(b'data: {"token":"', b'"', padding.close)

    def encode(self, events: Events) -> bytes:
        """Return the events as bytes."""
        if len(events) == 1 and type(event := events[0]) is Token:  # nearly always
            return self._padding.close(b'data: {"token":%b' % orjson.dumps(event.text))
        return b"".join([self._encode_event(event) for event in events])

    def _encode_event(self, event: Event) -> bytes:
        if isinstance(event, Token | Refusal):
            return self._padding.close(b'data: {"token":%b' % orjson.dumps(event.text))
        data = self._build_data(event)
        return b"" if data is None else self._padding.align(b"data: %b" % orjson.dumps(data))

    def _build_data(self, event: Event) -> dict[str, Any] | None:
        if isinstance(event, Done):
            data = {"done": True, **build_end(event)}
            if event.tool_calls:
                data["toolCalls"] = event.tool_calls
            if event.trimmed:
                data["trimmed"] = event.trimmed
            if event.is_cached:
                data["cached"] = True
            if sealed := self._seal(event):
                data["reasoning"] = sealed
            return data
        if isinstance(event, Failed):
            return api_error(problem_for(event.error), self._request_id)
        if isinstance(event, ToolRun):
            return {"tool": describe_tool_run(event)}
        return None  # reasoning, and the pieces of tool calls: the `done` event has the complete calls
