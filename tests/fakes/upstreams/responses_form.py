"""Answers and requests of chat completions in the form of /responses and back, so that one test holds over both.

Written against OpenAI's documents and recorded streams, not against `app/openai_service/responses`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

_STATUS: dict[str | None, tuple[str | None, str | None]] = {
    "length": ("incomplete", "max_output_tokens"),
    "content_filter": ("incomplete", "content_filter"),
    # A server that has /responses tells each of its words for a whole answer so.
    **dict.fromkeys(
        ("stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence", "COMPLETE", "FINISH_REASON_STOP"),
        ("completed", None),
    ),
    "tool_calls": ("completed", None),
    None: (None, None),  # a server that tells none at all
    "": (None, None),
}


def usage_of(chat: dict[str, Any] | None) -> dict[str, Any] | None:
    """A chat completion's usage as a response tells it."""
    if not isinstance(chat, dict):
        return None
    names = {
        "prompt_tokens": "input_tokens",
        "completion_tokens": "output_tokens",
        "prompt_tokens_details": "input_tokens_details",
        "completion_tokens_details": "output_tokens_details",
    }
    return {names.get(name, name): value for name, value in chat.items()}


def response(status: str = "completed", *output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A whole response with these output items."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": "gpt-6.1-terra-2026-10-01",
        "output": list(output),
        "usage": {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12},
        **fields,
    }


def message(text: str, *, id_: str = "msg_1", refusal: str = "", **fields: Any) -> dict[str, Any]:
    """An output item with text."""
    parts: list[dict[str, Any]] = [{"type": "output_text", "text": text, "annotations": []}] if text else []
    if refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    return {"id": id_, "type": "message", "role": "assistant", "status": "completed", "content": parts, **fields}


def function_call(call_id: str | None, name: str, arguments: Any = "{}", *, id_: str = "fc_1") -> dict[str, Any]:
    """An output item that is a call."""
    item = {"id": id_, "type": "function_call", "status": "completed"}
    return {**item, "call_id": call_id, "name": name, "arguments": arguments}


def reasoning(content: str = "gAAA", *, id_: str = "rs_1") -> dict[str, Any]:
    """An output item of encrypted reasoning."""
    return {"id": id_, "type": "reasoning", "summary": [], "encrypted_content": content}


def to_response(completion: dict[str, Any]) -> dict[str, Any]:
    """The response that says what a chat completion says."""
    choice = completion["choices"][0]
    said = choice["message"]
    output: list[dict[str, Any]] = []
    if said.get("content") or said.get("refusal"):
        output.append(message(said.get("content") or "", refusal=said.get("refusal") or ""))
    for number, call in enumerate(said.get("tool_calls") or []):
        function = call["function"]
        item = function_call(call.get("id"), function["name"], function.get("arguments"), id_=f"fc_{number}")
        output.append(item)
    status, reason = _STATUS.get(choice["finish_reason"], ("incomplete", choice["finish_reason"]))
    return response(
        status,
        *output,
        model=completion.get("model"),
        usage=usage_of(completion.get("usage")),
        incomplete_details=reason and {"reason": reason},
        service_tier=completion.get("service_tier"),
    )


class EventStream:
    """Turns the chunks of a chat completion into the events of a response, one by one."""

    def __init__(self) -> None:
        self._numbers = count()
        self._items: dict[object, dict[str, Any]] = {}
        self._finish_reason: str | None = None
        self._usage: Any = None
        self._model = ""
        self._tier: Any = None
        self._is_begun = False
        self._is_over = False
        self._rest = b""

    def convert(self, pieces: Iterable[Any]) -> Iterator[Any]:
        """The events of each piece of a stream, which may be none; what is no chunk stays as it is."""
        for piece in pieces:
            if isinstance(piece, Exception):
                yield piece
                return
            *whole, self._rest = (self._rest + piece).split(b"\n\n")
            events = b"".join(event for text in whole for event in self._convert(text))
            yield from [events[at : at + 1] for at in range(len(events))] if len(piece) == 1 else [events]
        yield b"".join(self._end())

    def _convert(self, text: bytes) -> Iterator[bytes]:
        if text == b"data: [DONE]":
            yield from self._end()
            return
        try:
            payload = json.loads(text.removeprefix(b"data: "))
        except ValueError:
            yield text + b"\n\n"
            return
        if payload.get("error"):
            yield self._event("error", error=payload["error"])
            return
        self._model = payload.get("model") or self._model
        if not self._is_begun:
            self._is_begun = True
            for kind in ("created", "in_progress"):
                yield self._event(f"response.{kind}", response=self._response("in_progress", usage=None))
        self._usage = payload.get("usage") or self._usage
        self._tier = payload.get("service_tier") or self._tier
        for choice in payload.get("choices") or []:
            yield from self._convert_delta(choice.get("delta") or {})
            self._finish_reason = choice.get("finish_reason") or self._finish_reason

    def _convert_delta(self, delta: dict[str, Any]) -> Iterator[bytes]:
        if text := delta.get("reasoning_content") or delta.get("reasoning"):
            yield from self._begin("reasoning", {"type": "reasoning", "summary": []})
            yield self._event("response.reasoning_text.delta", item="reasoning", delta=text)
        for name, kind in (("content", "output_text"), ("refusal", "refusal")):
            if text := delta.get(name):
                new = {"type": "message", "role": "assistant", "status": "in_progress", "content": []}
                yield from self._begin("message", new)
                parts = self._items["message"]["content"]
                key = "text" if kind == "output_text" else "refusal"
                if not parts or parts[-1]["type"] != kind:
                    parts.append({"type": kind, key: ""})
                    place = len(parts) - 1
                    yield self._event(
                        "response.content_part.added", item="message", content_index=place, part=dict(parts[-1])
                    )
                parts[-1][key] += text
                yield self._event(
                    f"response.{kind}.delta", item="message", content_index=len(parts) - 1, delta=text
                )
        for call in delta.get("tool_calls") or []:
            yield from self._convert_call(call)

    def _convert_call(self, call: dict[str, Any]) -> Iterator[bytes]:
        key = call.get("index", 0)
        function = call.get("function") or {}
        new = {"type": "function_call", "call_id": call.get("id"), "name": function.get("name"), "arguments": ""}
        yield from self._begin(key, new)
        if arguments := function.get("arguments"):
            self._items[key]["arguments"] += arguments
            yield self._event("response.function_call_arguments.delta", item=key, delta=arguments)

    def _begin(self, key: object, item: dict[str, Any]) -> Iterator[bytes]:
        if key not in self._items:
            self._items[key] = {"id": f"item_{len(self._items)}", **item}
            yield self._event("response.output_item.added", place=key, item_value=dict(self._items[key]))

    def _end(self) -> Iterator[bytes]:
        if self._is_over or self._finish_reason is None:
            return
        self._is_over = True
        for key, item in self._items.items():
            yield self._event("response.output_item.done", place=key, item_value=item)
        status, reason = _STATUS.get(self._finish_reason, ("incomplete", self._finish_reason))
        whole = self._response(
            status, usage=usage_of(self._usage), incomplete_details=reason and {"reason": reason}
        )
        yield self._event(f"response.{status}", response=whole)

    def _response(self, status: str, **fields: Any) -> dict[str, Any]:
        return response(status, *self._items.values(), model=self._model, service_tier=self._tier, **fields)

    def _event(self, kind: str, *, item: object = None, place: object = None, **fields: Any) -> bytes:
        if "item_value" in fields:
            fields |= {"item": fields.pop("item_value"), "output_index": list(self._items).index(place)}
        if item is not None:
            fields |= {"item_id": self._items[item]["id"], "output_index": list(self._items).index(item)}
        data = {"type": kind, **dict(sorted(fields.items())), "sequence_number": next(self._numbers)}
        return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


_ORDER = ["model", "tools", "tool_choice", "response_format", "messages", "max_completion_tokens"]


def to_chat_body(body: dict[str, Any]) -> dict[str, Any]:
    """The chat completion's body that asks for what a response's body asks for."""
    same = {"model", "temperature", "top_p", "stream", "parallel_tool_calls", "service_tier", "user"}
    same |= {"store", "safety_identifier", "prompt_cache_key", "prompt_cache_options"}
    chat = {name: value for name, value in body.items() if name in same}
    if "max_output_tokens" in body:
        chat["max_completion_tokens"] = body["max_output_tokens"]
    if "tools" in body:
        chat["tools"] = [_nest_tool(tool) for tool in body["tools"]]
    if "tool_choice" in body:
        choice = body["tool_choice"]
        is_text = isinstance(choice, str)
        chat["tool_choice"] = choice if is_text else {"type": "function", "function": {"name": choice["name"]}}
    text = body.get("text", {})
    if "verbosity" in text:
        chat["verbosity"] = text["verbosity"]
    if wanted := text.get("format"):
        rest = {name: value for name, value in wanted.items() if name != "type"}
        chat["response_format"] = {"type": wanted["type"], **({"json_schema": rest} if rest else {})}
    if effort := body.get("reasoning", {}).get("effort"):
        chat["reasoning_effort"] = effort
    if body.get("stream"):
        chat["stream_options"] = {"include_usage": True}
    chat["messages"] = _to_messages(body["input"])
    return {name: chat[name] for name in sorted(chat, key=_place)}


def _place(name: str) -> int:
    """Where a field stands in a chat completion's body as the application writes it."""
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)


def _nest_tool(tool: dict[str, Any]) -> dict[str, Any]:
    function = {name: value for name, value in tool.items() if name != "type"}
    assert type(function["strict"]) is bool, "left out it means true here"
    if not function["strict"]:
        del function["strict"]
    return {"type": "function", "function": function}


def _to_messages(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for item in items:
        kind = item.get("type", "message")
        if kind == "function_call_output":
            messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]})
        elif kind == "function_call":
            function = {"name": item["name"], "arguments": item["arguments"]}
            call = {"id": item["call_id"], "type": "function", "function": function}
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": None})
            messages[-1].setdefault("tool_calls", []).append(call)
        elif kind == "message":
            messages.append({"role": item["role"], "content": _to_content(item["content"])})
    return messages


def _to_content(content: Any) -> Any:
    return content if isinstance(content, str) else [_to_part(part) for part in content]


def _to_part(part: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in part.items() if name != "type"}
    match part["type"]:
        case "input_text" | "output_text":
            return {"type": "text", **rest}
        case "input_image":
            marks = {name: rest.pop(name) for name in ("prompt_cache_breakpoint",) if name in rest}
            url = {"url": rest.pop("image_url"), **rest}
            return {"type": "image_url", "image_url": url, **marks}
        case "input_file":
            return {"type": "file", "file": rest}
        case other:
            return {"type": other, **rest}
