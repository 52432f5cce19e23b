"""What a client runs that is no function: tools that take a free text, and a computer of its own that the model operates.

In all other code a call of theirs is that of a function with another `type`: the arguments are the text, or the JSON of
what a computer shall do. Chat completions have tools for texts under `custom`; only /responses has the computer.

Source: https://platform.openai.com/docs/api-reference/responses/create (tools, and input items)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

FUNCTION, CUSTOM, COMPUTER = "function", "custom", "computer"
COMPUTER_TOOLS = (COMPUTER, "computer_use_preview")
"""The types of the tool: of gpt-5.4 and later, and of computer-use-preview."""
CLIENT_TOOLS = (FUNCTION, CUSTOM, *COMPUTER_TOOLS)

TRUNCATION = "truncation"
"""The field of a body that is about a computer. It must be `auto`, and chat completions do not have it."""

CALL_TYPES = {"function_call": FUNCTION, "custom_tool_call": CUSTOM, "computer_call": COMPUTER}
"""The type of a call by that of its item."""
INPUTS = {"function_call": "arguments", "custom_tool_call": "input"}
"""The field of an item that grows in a stream."""

_RESULT_TYPES = {CUSTOM: "custom_tool_call_output", COMPUTER: "computer_call_output"}
_ACTIONS = ("action", "actions", "pending_safety_checks")
# Longer ids are refused on /responses, though chat completions take them.
_MAX_CALL_ID = 64

Item = dict[str, Any]


def flatten_tool(tool: Mapping[str, Any]) -> Item:
    """Return the tool of a chat completion in the form of /responses. One that only /responses has is in it already."""
    if tool["type"] == FUNCTION:
        return _flatten_function(tool["function"])
    if tool["type"] != CUSTOM:
        return dict(tool)
    custom = {**tool[CUSTOM]}
    if grammar := (custom.get("format") or {}).get("grammar"):
        custom["format"] = {"type": "grammar", **grammar}
    return {"type": CUSTOM, **custom}


def flatten_choice(choice: str | Mapping[str, Any]) -> Any:
    """Return a tool choice; one that names a function, or allows some, is nested one level less."""
    if isinstance(choice, str):
        return choice
    kind = choice["type"]
    if kind == "allowed_tools":
        allowed = choice[kind]
        return {"type": kind, **allowed, "tools": [flatten_choice(tool) for tool in allowed["tools"]]}
    return {"type": kind, "name": choice[kind]["name"]} if kind in (FUNCTION, CUSTOM) else dict(choice)


def build_call(call: Mapping[str, Any]) -> Item:
    """Return the item of a call in a conversation: without an id, which would demand the reasoning before it."""
    call_id = shorten_id(call["id"])
    if call["type"] == COMPUTER:
        # Here an id is a must, so it is a new one.
        made = f"cu_{hashlib.sha256(call_id.encode()).hexdigest()[:32]}"
        return {"type": "computer_call", "id": made, "call_id": call_id, **call[COMPUTER], "status": "completed"}
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
    """Return the item of a call's result.

    Args:
        message: the result as it is in a chat.
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
    """Return the item of an answer as a call in a chat. Its id is that of the call, never that of the item."""
    call = {"id": item.get("call_id")}
    kind = CALL_TYPES.get(str(item.get("type")))
    if kind == CUSTOM:
        return {**call, "type": CUSTOM, CUSTOM: {"name": item.get("name"), "input": item.get("input")}}
    if kind == COMPUTER:
        told = {name: item[name] for name in _ACTIONS if item.get(name) is not None}
        return {**call, "type": COMPUTER, COMPUTER: told}
    return {**call, "function": {"name": item.get("name"), "arguments": item.get("arguments")}}


def shorten_id(id_: str) -> str:
    """Return the id of a call, or one made of it if it is too long: the same for the call and its result."""
    return id_ if len(id_) <= _MAX_CALL_ID else hashlib.sha256(id_.encode()).hexdigest()


def _flatten_function(function: Mapping[str, Any]) -> Item:
    flat = {
        "type": FUNCTION,
        "name": function["name"],
        "parameters": function.get("parameters") or {"type": "object", "properties": {}},
        "strict": bool(function.get("strict")),  # true where it is left out, unlike in chat completions
    }
    if function.get("description") is not None:
        flat["description"] = function["description"]
    return flat


def _read_image(output: str | list[Item]) -> Item:
    """Return where the image is, and the detail that was asked for. `auto` means what it means to leave it out."""
    image = output[0] if isinstance(output, list) else {}
    kept = {"image_url": image.get("image_url")}
    return kept if image.get("detail") in (None, "auto") else {**kept, "detail": image["detail"]}
