"""The format of /api/chat/openai: the bare text as it comes."""

from __future__ import annotations

from typing import ClassVar

from app.openai_service import Events, Failed, Refusal, Token
from app.web.encoders.base import BrokenStream


class PlainText:
    """Nothing but the text fits in, so there are no heartbeats, and a failure shows as a broken connection."""

    content_type: ClassVar[str] = "text/plain; charset=utf-8"
    heartbeat: ClassVar[bytes] = b""

    def encode(self, batch: Events) -> bytes:
        if any(isinstance(event, Failed) for event in batch):
            raise BrokenStream
        return "".join([event.text for event in batch if isinstance(event, Token | Refusal)]).encode()
