"""The answers of the fake upstream over /responses, in OpenAI's form."""

from functools import cache

from bench.upstream.answers import REPLY, STAMP_DIGITS, as_json, frame, whole

FIRST_NUMBER = 10_000
"""The sequence number of the first piece of text: all have as many digits, so that their bytes are made once."""

_ID = "resp_0f3a9c1d2e4b5a6978"
_ITEM = "msg_0f3a9c1d2e4b5a6978"
_PART = {"type": "output_text", "annotations": [], "logprobs": [], "text": REPLY}
_USAGE = {
    "input_tokens": 82,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 38,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 120,
}


@cache
def response(model: str) -> bytes:
    """A response of about 1,000 bytes."""
    return whole(as_json(_response(model, "completed", [_message("completed")], _USAGE)))


@cache
def opening_events(model: str) -> bytes:
    """The four events before the first piece of text."""
    begun = _response(model, "in_progress", [], None)
    where = {"item_id": _ITEM, "output_index": 0, "content_index": 0}
    events = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        ("response.output_item.added", {"output_index": 0, "item": {**_message("in_progress"), "content": []}}),
        ("response.content_part.added", {**where, "part": {**_PART, "text": ""}}),
    ]
    first = FIRST_NUMBER - len(events)
    return b"".join(frame(_event(kind, first + place, **rest)) for place, (kind, rest) in enumerate(events))


@cache
def stamped_event(_model: str) -> tuple[bytes, bytes, bytes]:
    """A piece of text of about 250 bytes, cut where its time stamp and its number go."""
    fields = {"content_index": 0, "delta": "t=" + "0" * STAMP_DIGITS + "; keys", "item_id": _ITEM, "logprobs": []}
    event = _event(
        "response.output_text.delta", FIRST_NUMBER, **fields, obfuscation="qP3xZ0aWk7bT", output_index=0
    )
    before, rest = frame(event).split(b"0" * STAMP_DIGITS)
    between, after = rest.split(b"%d" % FIRST_NUMBER)
    return before, between, after


@cache
def end_events(model: str, number: int) -> bytes:
    """The four events after the last piece of text, and the end."""
    where = {"item_id": _ITEM, "output_index": 0, "content_index": 0}
    done = _message("completed")
    events = [
        ("response.output_text.done", {**where, "text": REPLY, "logprobs": []}),
        ("response.content_part.done", {**where, "part": _PART}),
        ("response.output_item.done", {"output_index": 0, "item": done}),
        ("response.completed", {"response": _response(model, "completed", [done], _USAGE)}),
    ]
    frames = [frame(_event(kind, number + place, **rest)) for place, (kind, rest) in enumerate(events)]
    return b"".join(frames) + b"0\r\n\r\n"


def _response(model: str, status: str, output: list[object], usage: object) -> dict[str, object]:
    body = {"id": _ID, "object": "response", "created_at": 1763640000, "status": status, "error": None}
    rest = {"incomplete_details": None, "model": model, "output": output, "parallel_tool_calls": True}
    return {**body, **rest, "store": False, "text": {"format": {"type": "text"}}, "tools": [], "usage": usage}


def _message(status: str) -> dict[str, object]:
    return {"id": _ITEM, "type": "message", "status": status, "role": "assistant", "content": [_PART]}


def _event(kind: str, number: int, **rest: object) -> bytes:
    data = {"type": kind, **rest, "sequence_number": number}
    return f"event: {kind}\n".encode() + b"data: " + as_json(data) + b"\n\n"
