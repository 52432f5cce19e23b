"""OpenAI's own tools as its /responses runs them: what it refuses of a request, and the items and events of their calls.

Written against the types of OpenAI's client and its documents, not against the application.
"""

from __future__ import annotations

from typing import Any

from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter, ValidationError

from tests.fakes.upstreams.responses_form import message, response

_REQUEST: TypeAdapter[Any] = TypeAdapter(ResponseCreateParamsNonStreaming)

SEARCH = {
    "id": "ws_upstream",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "weather", "sources": [{"type": "url", "url": "https://example.org/a"}]},
}
OPEN_PAGE = {
    "id": "ws_page",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "open_page", "url": "https://example.org/a"},
}
CODE = {
    "id": "ci_upstream",
    "type": "code_interpreter_call",
    "status": "completed",
    "code": "print(6*7)",
    "container_id": "cntr_secret",
    "outputs": [{"type": "logs", "logs": "42"}],
}
FILES = {
    "id": "fs_upstream",
    "type": "file_search_call",
    "status": "completed",
    "queries": ["prices"],
    "results": [
        {"file_id": "file-secret", "filename": "prices.pdf", "score": 0.9, "text": "1 USD", "attributes": {}}
    ],
}
LISTED = {"id": "mcpl_upstream", "type": "mcp_list_tools", "server_label": "docs", "tools": []}
REMOTE = {
    "id": "mcp_upstream",
    "type": "mcp_call",
    "status": "completed",
    "server_label": "docs",
    "name": "find",
    "arguments": '{"q":1}',
    "output": "found",
}
CITATION = {"type": "url_citation", "start_index": 0, "end_index": 5, "title": "A", "url": "https://example.org/a"}
FILE_CITATION = {"type": "file_citation", "file_id": "file-secret", "filename": "prices.pdf", "index": 3}

_STEPS = {
    "web_search_call": ("in_progress", "searching", "completed"),
    "code_interpreter_call": ("in_progress", "interpreting", "completed"),
    "file_search_call": ("in_progress", "searching", "completed"),
    "mcp_call": ("in_progress", "completed"),
    "mcp_list_tools": ("in_progress", "completed"),
    "image_generation_call": ("in_progress", "generating", "completed"),
}
_GROWING = {"code_interpreter_call": ("_code", "code"), "mcp_call": ("_arguments", "arguments")}
_OF_END = ("action", "outputs", "results", "output", "result", "revised_prompt")


def check_types(body: dict[str, Any]) -> None:
    """Fails where a request is not of the types of OpenAI's client."""
    try:
        _REQUEST.validate_python(body)
    except ValidationError as error:
        raise AssertionError(str(error)) from None


def check_request(body: dict[str, Any]) -> None:
    """Fails where a request with such tools is not of the documented form."""
    check_types(body)
    assert type(body["max_tool_calls"]) is int


def answer(
    *items: dict[str, Any], text: str = "Sunny today.", annotations: Any = (), **fields: Any
) -> dict[str, Any]:
    """A response in one piece."""
    said = message(text)
    said["content"][0]["annotations"] = list(annotations)
    return response("completed", *items, said, **fields)


def events(
    *items: dict[str, Any], text: str = "Sunny today.", annotations: Any = (), **fields: Any
) -> list[dict[str, Any]]:
    """The events of the same response."""
    whole = answer(*items, text=text, annotations=annotations, **fields)
    told: list[dict[str, Any]] = [
        {"type": f"response.{kind}", "response": {**whole, "status": "in_progress", "output": [], "usage": None}}
        for kind in ("created", "in_progress")
    ]
    for place, item in enumerate(items):
        told += _events_of_call(place, item)
    where = {"item_id": "msg_1", "output_index": len(items), "content_index": 0}
    begun = {**whole["output"][-1], "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    told.append({"type": "response.output_item.added", "output_index": len(items), "item": begun})
    told.append({"type": "response.content_part.added", **where, "part": part})
    told += [
        {"type": "response.output_text.delta", **where, "delta": piece} for piece in text.partition(" ") if piece
    ]
    told += [
        {
            "type": "response.output_text.annotation.added",
            **where,
            "annotation_index": number,
            "annotation": annotation,
        }
        for number, annotation in enumerate(annotations)
    ]
    told.append({"type": "response.output_text.done", **where, "text": text})
    told.append({"type": "response.content_part.done", **where, "part": whole["output"][-1]["content"][0]})
    told.append({"type": "response.output_item.done", "output_index": len(items), "item": whole["output"][-1]})
    told.append({"type": "response.completed", "response": whole})
    return told


def _events_of_call(place: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    kind, where = item["type"], {"output_index": place, "item_id": item["id"]}
    begun = {name: value for name, value in item.items() if name not in _OF_END}
    if "status" in item:
        begun["status"] = "in_progress"
    suffix, grows = _GROWING.get(kind, ("", ""))
    if grows:
        begun[grows] = ""
    first, *rest = _STEPS[kind]
    told = [
        {"type": "response.output_item.added", "output_index": place, "item": begun},
        {"type": f"response.{kind}.{first}", **where},
    ]
    if grows:
        told.append({"type": f"response.{kind}{suffix}.delta", **where, "delta": item[grows]})
        told.append({"type": f"response.{kind}{suffix}.done", **where, grows: item[grows]})
    told += [{"type": f"response.{kind}.{step}", **where} for step in rest]
    return [*told, {"type": "response.output_item.done", "output_index": place, "item": item}]
