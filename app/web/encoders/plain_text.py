"""Encode a stream as plain text, for /api/chat/openai."""

from __future__ import annotations

from typing import ClassVar

from app.openai_service import Events, Failed, Refusal, Token
from app.web.encoders.base import BrokenStream


class PlainText:
    """Encodes an answer as plain text. The format has no heartbeats; an error aborts the connection."""

    content_type: ClassVar[str] = "text/plain; charset=utf-8"
    heartbeat: ClassVar[bytes] = b""
    token_frame: ClassVar[None] = None

    def encode(self, events: Events) -> bytes:
        """Return the text of the events."""
        if any(isinstance(event, Failed) for event in events):
            raise BrokenStream
        return "".join([event.text for event in events if isinstance(event, Token | Refusal)]).encode()
