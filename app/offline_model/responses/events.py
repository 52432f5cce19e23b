"""Format an answer as the typed events of a stream."""

from __future__ import annotations

import time
from collections.abc import Iterator

import orjson

from app.offline_model import tokens
from app.offline_model.requests.fields import JsonObject
from app.offline_model.responses.response import Response


def encode_events(response: Response, token_delay_s: float) -> Iterator[bytes]:
    """Yield each event, with its sequence number. There is no `[DONE]`."""
    for number, event in enumerate(_iter_events(response, token_delay_s)):
        numbered = {**event, "sequence_number": number}
        yield b"event: " + event["type"].encode() + b"\ndata: " + orjson.dumps(numbered) + b"\n\n"


def _iter_events(response: Response, token_delay_s: float) -> Iterator[JsonObject]:
    head = response.make_head("in_progress")
    yield {"type": "response.created", "response": head}
    yield {"type": "response.in_progress", "response": head}
    for index, item in enumerate(response.list_items()):
        place = {"item_id": item["id"], "output_index": index}
        yield {"type": "response.output_item.added", "output_index": index, "item": _make_empty(item)}
        match item["type"]:
            case "reasoning":
                yield from _iter_summary(item, place)
            case "function_call":
                kind = "response.function_call_arguments"
                yield from _iter_deltas(response, kind, place, token_delay_s)
                yield {"type": f"{kind}.done", **place, "name": item["name"], "arguments": item["arguments"]}
            case "custom_tool_call":
                kind = "response.custom_tool_call_input"
                yield from _iter_deltas(response, kind, place, token_delay_s)
                yield {"type": f"{kind}.done", **place, "input": item["input"]}
            case _:
                yield from _iter_text(response, item, place, token_delay_s)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{response.status}", "response": response.to_dict()}


def _make_empty(item: JsonObject) -> JsonObject:
    match item["type"]:
        case "reasoning":
            return {**item, "summary": [], "encrypted_content": ""}
        case "function_call":
            return {**item, "status": "in_progress", "arguments": ""}
        case "custom_tool_call":
            return {**item, "status": "in_progress", "input": ""}
    return {**item, "status": "in_progress", "content": []}


def _iter_summary(item: JsonObject, place: JsonObject) -> Iterator[JsonObject]:
    kind = "response.reasoning_summary"
    for at, part in enumerate(item["summary"]):
        here = {**place, "summary_index": at}
        yield {"type": f"{kind}_part.added", **here, "part": {**part, "text": ""}}
        yield {"type": f"{kind}_text.delta", **here, "delta": part["text"]}
        yield {"type": f"{kind}_text.done", **here, "text": part["text"]}
        yield {"type": f"{kind}_part.done", **here, "part": part}


def _iter_text(
    response: Response, item: JsonObject, place: JsonObject, token_delay_s: float
) -> Iterator[JsonObject]:
    here = {**place, "content_index": 0}
    (part,) = item["content"]
    field = "refusal" if part["type"] == "refusal" else "text"
    kind = f"response.{part['type']}"
    also: JsonObject = {} if field == "refusal" else {"logprobs": []}
    yield {"type": "response.content_part.added", **here, "part": {**part, field: ""}}
    yield from _iter_deltas(response, kind, {**here, **also}, token_delay_s)
    yield {"type": f"{kind}.done", **here, field: part[field], **also}
    yield {"type": "response.content_part.done", **here, "part": part}


def _iter_deltas(response: Response, kind: str, place: JsonObject, token_delay_s: float) -> Iterator[JsonObject]:
    for at, piece in enumerate(response.answer.pieces):
        if at:
            time.sleep(token_delay_s)
        event = {"type": f"{kind}.delta", **place, "delta": piece}
        if response.answer.request.has_obfuscation:
            event["obfuscation"] = tokens.pad(piece)
        yield event
