"""Reading what this server streams, as strictly as the readers in the wild."""

from __future__ import annotations

import json
import re
from typing import Any


def events_of(body: bytes) -> list[dict[str, Any]]:
    """The data of an event stream of ours, which has `data: ` lines and heartbeats and nothing else; without padding."""
    events = []
    for block in body.split(b"\n\n"):
        if block.startswith(b":") or not block:
            continue
        assert block.startswith(b"data: "), block
        assert b"\n" not in block
        event = json.loads(block[6:])
        event.pop("p", None)
        events.append(event)
    return events


def without_padding(body: bytes) -> bytes:
    """An event stream of ours as it would be with STREAM_PADDING=0."""
    return re.sub(rb'(?:,"p":"[\w-]*"| *)(}\n\n)|(}) *(?=\n\n)', rb"\1\2", body)


def read_typed_events(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream of /v1/responses, each of whose types stands in both of its lines, and whose numbers have no gap."""
    blocks = data.decode().split("\n\n")
    assert blocks.pop() == ""
    events = []
    for block in blocks:
        if block.startswith(":"):
            continue
        name, text = block.split("\n")
        events.append(json.loads(text.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    return events
