"""Encodes recorded answers, and reads what came of them."""

from __future__ import annotations

from typing import Any

import orjson

from app.openai_service import Events, Failed
from app.web.encoders.base import Encoder


def encode(encoder: Encoder, answer: list[Events]) -> bytes:
    return b"".join([encoder.encode(list(events)) for events in answer if events])


def read_sse(encoded: bytes) -> list[Any]:
    """The events of a stream that every reader can read: `data: ` and one line each."""
    events = encoded.decode().split("\n\n")
    assert events.pop() == ""
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    return [event[6:] if event == "data: [DONE]" else orjson.loads(event[6:]) for event in events]


def fails(answer: list[Events]) -> bool:
    return isinstance(answer[-1][-1], Failed)
