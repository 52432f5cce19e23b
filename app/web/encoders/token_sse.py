"""The format of /api/chat/stream: `data: {"token": …}` events, then one with `"done": true`."""

from __future__ import annotations

from typing import Any, ClassVar

import orjson

from app.openai_service import Done, Event, Events, Failed, Refusal, Token, ToolRun
from app.web.errors import api_error, problem_for
from app.web.schemas.chat import tool_run


class TokenSse:
    """Each event is `data: `, JSON on one line, and a blank line: readers in the wild know no other field."""

    content_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    heartbeat: ClassVar[bytes] = b": heartbeat\n\n"

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id

    def encode(self, batch: Events) -> bytes:
        if len(batch) == 1 and type(event := batch[0]) is Token:  # as a model at work writes
            return b'data: {"token":%b}\n\n' % orjson.dumps(event.text)
        return b"".join(
            [
                b"data: %b\n\n" % orjson.dumps(data)
                for event in batch
                if (data := self._encode_event(event)) is not None
            ]
        )

    def _encode_event(self, event: Event) -> dict[str, Any] | None:
        if isinstance(event, Token | Refusal):
            return {"token": event.text}
        if isinstance(event, Done):
            data: dict[str, Any] = {
                "done": True,
                "finishReason": event.finish_reason,
                "usage": event.usage and event.usage.raw,
                "model": event.model,
                "id": event.id,
            }
            if event.tool_calls:
                data["toolCalls"] = event.tool_calls
            if event.trimmed:
                data["trimmed"] = event.trimmed
            if event.is_cached:
                data["cached"] = True
            return data
        if isinstance(event, Failed):
            return api_error(problem_for(event.error), self._request_id)
        if isinstance(event, ToolRun):
            return {"tool": tool_run(event)}
        return None  # reasoning, and tool calls in pieces: `done` has them whole
