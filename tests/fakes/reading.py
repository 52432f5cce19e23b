"""Reading what this server streams, as strictly as the readers in the wild."""

from __future__ import annotations

import json
from typing import Any


def events_of(body: bytes) -> list[dict[str, Any]]:
    """The data of an event stream of ours, which has `data: ` lines and heartbeats and nothing else."""
    events = []
    for block in body.split(b"\n\n"):
        if block.startswith(b":") or not block:
            continue
        assert block.startswith(b"data: "), block
        assert b"\n" not in block
        events.append(json.loads(block[6:]))
    return events
