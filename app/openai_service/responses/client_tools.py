"""Translates tools that the client runs: functions, custom tools, and the computer tool.

A custom tool takes free text as its input; the computer tool lets the model operate a computer of the client. All other
code treats their calls as function calls of another `type`, whose arguments are the text, or the JSON of the computer's
actions. Chat completions support `custom` tools; only /responses supports the computer.

Source: https://platform.openai.com/docs/api-reference/responses/create (tools, and input items)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

FUNCTION, CUSTOM, COMPUTER = "function", "custom", "computer"
COMPUTER_TOOLS = (COMPUTER, "computer_use_preview")
"""The tool's type for gpt-5.4 and later, and for computer-use-preview."""
CLIENT_TOOLS = (FUNCTION, CUSTOM, *COMPUTER_TOOLS)

TRUNCATION = "truncation"
"""A field of the body that the computer tool requires. It must be `auto`; chat completions do not have it."""

CALL_TYPES = {"function_call": FUNCTION, "custom_tool_call": CUSTOM, "computer_call": COMPUTER}
"""Maps the type of an output item to the type of the call."""
INPUTS = {"function_call": "arguments", "custom_tool_call": "input"}
"""Maps the type of an output item to its field that is streamed in pieces."""

_RESULT_TYPES = {CUSTOM: "custom_tool_call_output", COMPUTER: "computer_call_output"}
_COMPUTER_FIELDS = ("action", "actions", "pending_safety_checks")
# /responses rejects longer ids; chat completions accept them.
_MAX_CALL_ID_CHARS = 64

Item = dict[str, Any]


def flatten_tool(tool: Mapping[str, Any]) -> Item:
    """Translate the tool of a chat completion for /responses. A tool that only /responses has is unchanged."""
    if tool["type"] == FUNCTION:
        return _flatten_function(tool["function"])
    if tool["type"] != CUSTOM:
        return dict(tool)
    custom = {**tool[CUSTOM]}
    if grammar := (custom.get("format") or {}).get("grammar"):
        custom["format"] = {"type": "grammar", **grammar}
    return {"type": CUSTOM, **custom}


def flatten_choice(choice: str | Mapping[str, Any]) -> Any:
    """Translate a tool choice. One that names a tool, or lists allowed ones, has one level of nesting less."""
    if isinstance(choice, str):
        return choice
    kind = choice["type"]
    if kind == "allowed_tools":
        allowed = choice[kind]
        return {"type": kind, **allowed, "tools": [flatten_choice(tool) for tool in allowed["tools"]]}
    return {"type": kind, "name": choice[kind]["name"]} if kind in (FUNCTION, CUSTOM) else dict(choice)


def build_call(call: Mapping[str, Any]) -> Item:
    """Return the input item of a call. It has no id, since with one /responses requires the reasoning before it."""
    call_id = shorten_id(call["id"])
    if call["type"] == COMPUTER:
        # An id is required here, so a new one is derived.
        item_id = f"cu_{hashlib.sha256(call_id.encode()).hexdigest()[:32]}"
        return {
            "type": "computer_call",
            "id": item_id,
            "call_id": call_id,
            **call[COMPUTER],
            "status": "completed",
        }
    if call["type"] == CUSTOM:
        return {"type": "custom_tool_call", "call_id": call_id, **call[CUSTOM]}
    function = call["function"]
    return {
        "type": "function_call",
        "call_id": call_id,
        "name": function["name"],
        "arguments": function["arguments"],
    }


def build_result(message: Mapping[str, Any], kind: str, output: str | list[Item]) -> Item:
    """Return the input item of a call's result.

    Args:
        message: the tool message of a chat completion.
        kind: the type of the call.
        output: the message's content, in the form of /responses.
    """
    item: Item = {"type": _RESULT_TYPES.get(kind, "function_call_output")}
    item["call_id"] = shorten_id(message["tool_call_id"])
    if kind != COMPUTER:
        return {**item, "output": output}
    screenshot = {"type": "computer_screenshot", **_read_image(output)}
    if checks := message.get("acknowledged_safety_checks"):
        item["acknowledged_safety_checks"] = checks
    return {**item, "output": screenshot}


def read_call(item: Mapping[str, Any]) -> dict[str, Any]:
    """Translate an output item into a call of a chat completion. Its id is the call's id, never the item's."""
    call = {"id": item.get("call_id")}
    kind = CALL_TYPES.get(str(item.get("type")))
    if kind == CUSTOM:
        return {**call, "type": CUSTOM, CUSTOM: {"name": item.get("name"), "input": item.get("input")}}
    if kind == COMPUTER:
        actions = {name: item[name] for name in _COMPUTER_FIELDS if item.get(name) is not None}
        return {**call, "type": COMPUTER, COMPUTER: actions}
    return {**call, "function": {"name": item.get("name"), "arguments": item.get("arguments")}}


def shorten_id(id_: str) -> str:
    """Return the id of a call, or its hash if it is too long, so that the call and its result have the same id."""
    return id_ if len(id_) <= _MAX_CALL_ID_CHARS else hashlib.sha256(id_.encode()).hexdigest()


def _flatten_function(function: Mapping[str, Any]) -> Item:
    flat = {
        "type": FUNCTION,
        "name": function["name"],
        "parameters": function.get("parameters") or {"type": "object", "properties": {}},
        "strict": bool(function.get("strict")),  # the default is true, unlike in chat completions
    }
    if function.get("description") is not None:
        flat["description"] = function["description"]
    return flat


def _read_image(output: str | list[Item]) -> Item:
    """Return the image's URL, and the requested detail. `auto` is the default, so it is omitted."""
    image = output[0] if isinstance(output, list) else {}
    source = {"image_url": image.get("image_url")}
    return source if image.get("detail") in (None, "auto") else {**source, "detail": image["detail"]}
