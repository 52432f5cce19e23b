"""Encode a structured stream as plain JSON text, for `useObject` at /api/structured/stream."""

from __future__ import annotations

from typing import ClassVar

import orjson

from app.openai_service import Events, Failed, Parsed, Token
from app.web.encoders.base import BrokenStream


class StructuredText:
    """Encodes the JSON text as the model writes it.

    The format has no heartbeats; an error aborts the connection.
    """

    content_type: ClassVar[str] = "text/plain; charset=utf-8"
    heartbeat: ClassVar[bytes] = b""
    token_frame: ClassVar[None] = None

    def __init__(self) -> None:
        self._has_text = False

    def encode(self, events: Events) -> bytes:
        """Return the text of the events."""
        text = b""
        for event in events:
            if isinstance(event, Failed):
                raise BrokenStream
            if isinstance(event, Token):
                text += event.text.encode()
            elif isinstance(event, Parsed) and not (text or self._has_text):
                text = orjson.dumps(event.data)  # a cached answer has no tokens
        self._has_text = self._has_text or bool(text)
        return text
