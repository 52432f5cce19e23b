"""Encode a structured stream as `data: {"partial": …}` events, then the data with `"done": true`."""

from __future__ import annotations

from typing import Any, ClassVar

import orjson
from pydantic_core import to_json

from app.openai_service import Done, Events, Failed, Parsed, PartialParsed
from app.web.encoders.padding import Padding
from app.web.errors import api_error, problem_for
from app.web.schemas.structured import StructuredCall, build_structured_response


class StructuredSse:
    """Encodes padded server-sent events of `data: ` and JSON on one line, for /api/structured/stream."""

    content_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    heartbeat: ClassVar[bytes] = b": heartbeat\n\n"
    token_frame: ClassVar[None] = None

    def __init__(self, request_id: str, call: StructuredCall, padding: Padding) -> None:
        self._request_id = request_id
        self._padding = padding
        self._call = call
        self._data: Any = None

    def encode(self, events: Events) -> bytes:
        """Return the events as bytes."""
        lines = []
        for event in events:
            if isinstance(event, PartialParsed):
                # orjson does not support large numbers, which a value that is not checked yet may contain.
                partial = to_json(event.data, inf_nan_mode="null")
                lines.append(self._padding.close(b'data: {"partial":%b' % partial))
            elif isinstance(event, Parsed):
                self._data = event.data
            elif isinstance(event, Done):
                end = build_structured_response(self._data, event, self._call.normalized)
                lines.append(self._encode({"done": True, **end}))
            elif isinstance(event, Failed):
                lines.append(self._encode(api_error(problem_for(event.error), self._request_id)))
        return b"".join(lines)

    def _encode(self, data: dict[str, Any]) -> bytes:
        return self._padding.align(b"data: %b" % orjson.dumps(data))
