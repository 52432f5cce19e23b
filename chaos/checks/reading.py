"""Read the content of an answer."""

import json
from typing import Any

from chaos.trace import ClientRequest


def events_of(request: ClientRequest) -> list[Any]:
    """The events of a stream of ours, comments left out; ValueError where it is anything else."""
    *blocks, rest = request.body.decode().split("\n\n")
    if rest:
        raise ValueError(f"it ends with {rest[:60]!r}")
    events = []
    for block in blocks:
        if block.startswith(":") and "\n" not in block:
            continue
        if not block.startswith("data: ") or "\n" in block:
            raise ValueError(f"{block[:60]!r} is no event")
        events.append(json.loads(block[6:]))
    return events


def error_of(request: ClientRequest) -> str | None:
    """The code of an error that was answered with a status of its own."""
    try:
        code = json.loads(request.body).get("code")
    except (ValueError, AttributeError):
        return None
    return code if isinstance(code, str) else None


def final_code(request: ClientRequest) -> str | None:
    """The code of the error in which a request ended, whatever its form; None where it did not, or cannot tell.

    Bare text has no codes, so there it is the status.
    """
    if request.status != 200:
        return str(request.status) if request.is_text else error_of(request) or "no code"
    if not request.is_stream:
        return None
    last = request.body.rstrip().rpartition(b"\n\n")[2]
    try:
        event = json.loads(last.removeprefix(b"data: "))
    except ValueError:
        return None
    code = event.get("code") if isinstance(event, dict) else None
    return code if isinstance(code, str) else None
