"""The format of /api/structured/stream: `data: {"partial": …}` events, then one with `"done": true` and the data."""

from __future__ import annotations

from typing import Any, ClassVar

import orjson
from pydantic_core import to_json

from app.openai_service import Done, Events, Failed, Parsed, PartialParsed
from app.web.errors import api_error, problem_for
from app.web.schemas.structured import StructuredCall, structured_response


class StructuredSse:
    """As TokenSse: `data: `, JSON on one line, and a blank line."""

    content_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    heartbeat: ClassVar[bytes] = b": heartbeat\n\n"

    def __init__(self, request_id: str, filling: StructuredCall) -> None:
        self._request_id = request_id
        self._filling = filling
        self._data: Any = None

    def encode(self, batch: Events) -> bytes:
        told = []
        for event in batch:
            if isinstance(event, PartialParsed):
                # Not orjson, as a number of a text that nobody has checked yet may be larger than it writes.
                told.append(to_json({"partial": event.data}, inf_nan_mode="null"))
            elif isinstance(event, Parsed):
                self._data = event.data
            elif isinstance(event, Done):
                told.append(orjson.dumps({"done": True, **structured_response(self._data, event, self._filling)}))
            elif isinstance(event, Failed):
                told.append(orjson.dumps(api_error(problem_for(event.error), self._request_id)))
        return b"".join([b"data: %b\n\n" % data for data in told])
