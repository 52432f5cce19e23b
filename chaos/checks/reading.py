"""What is in an answer."""

import json
from typing import Any

from chaos.book import Ask


def events_of(ask: Ask) -> list[Any]:
    """The events of a stream of ours, comments left out; ValueError where it is anything else."""
    *blocks, rest = ask.body.decode().split("\n\n")
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


def error_of(ask: Ask) -> str | None:
    """The code of an error that was answered with a status of its own."""
    try:
        code = json.loads(ask.body).get("code")
    except (ValueError, AttributeError):
        return None
    return code if isinstance(code, str) else None


def final_code(ask: Ask) -> str | None:
    """The code of the error in which a request ended, whatever its form; None where it did not, or cannot tell.

    Bare text has no codes, so there it is the status.
    """
    if ask.status != 200:
        return str(ask.status) if ask.is_text else error_of(ask) or "no code"
    if not ask.is_stream:
        return None
    last = ask.body.rstrip().rpartition(b"\n\n")[2]
    try:
        event = json.loads(last.removeprefix(b"data: "))
    except ValueError:
        return None
    code = event.get("code") if isinstance(event, dict) else None
    return code if isinstance(code, str) else None
