"""What each upstream of the tests refuses: what OpenAI does, on the day on which they live."""

from __future__ import annotations

import json
from datetime import date

from app.models.families import Refusal, find_refusal

TODAY = date(2026, 11, 27)
"""It decides which models are gone."""


def refuse_request(request: bytes) -> Refusal | None:
    """What OpenAI answers to a whole request with its head; None to one that is none of its own."""
    head, _, content = request.partition(b"\r\n\r\n")
    method, _, rest = head.partition(b" ")
    try:
        body = json.loads(content)
    except ValueError:
        return None
    if method != b"POST" or not isinstance(body, dict):
        return None
    return find_refusal(rest.partition(b" ")[0].decode(), body, today=TODAY)
