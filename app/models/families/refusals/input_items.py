"""Find errors in the `input` items of /v1/responses: roles, parts, calls without results, reasoning without content."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.models.families.refusals.common import find_wrong_detail
from app.models.families.refusals.refusal import Refusal, refuse_invalid, refuse_missing
from app.models.families.refusals.request import Request, iter_objects

_ROLES = ("assistant", "system", "developer", "user")
_PARTS = ("input_text", "input_image", "input_file")
# By the type of the item: the name of the call in messages.
_CALLS = {
    "function_call": "function call",
    "custom_tool_call": "custom tool call",
    "computer_call": "computer call",
}
_ASSISTANT_PARTS = ("output_text", "refusal")


def find_wrong_items(request: Request) -> Iterator[Refusal]:
    """Yield the refusals of each item, then those of calls without results and results without calls."""
    items = request.list_objects("input")
    for index, item in items:
        kind = item.get("type", "message")
        if kind == "message":
            yield from _find_wrong_message(request, item, index)
        elif kind in ("reasoning", "item_reference"):
            yield from _find_wrong_reasoning(request, item, index)
        elif kind == "computer_call":
            yield from _find_wrong_computer_call(item, index)
        elif kind == "computer_call_output":
            screenshot = item.get("output")
            if not isinstance(screenshot, dict) or screenshot.get("type") != "computer_screenshot":
                given = screenshot.get("type") if isinstance(screenshot, dict) else screenshot
                yield refuse_invalid(f"input[{index}].output", given, ("computer_screenshot",))
    if request.get("previous_response_id") is None and request.get("conversation") is None:
        yield from _find_unpaired_calls(item for _, item in items)


def _find_wrong_message(request: Request, item: dict[str, Any], index: int) -> Iterator[Refusal]:
    role = item.get("role")
    if role not in _ROLES:
        yield refuse_invalid(f"input[{index}].role" if role else f"input[{index}]", role, _ROLES)
        return
    known = _ASSISTANT_PARTS if role == "assistant" else _PARTS
    for at, part in iter_objects(item.get("content")):
        if part.get("type") not in known:
            yield refuse_invalid(f"input[{index}].content[{at}]", part.get("type"), known)
        if part.get("type") == "input_image" and isinstance(part.get("image_url"), dict):
            message = f"Invalid type for 'input[{index}].content[{at}].image_url': expected an image URL, but got an object instead."
            yield Refusal(message, f"input[{index}].content[{at}].image_url", "invalid_type")
        if part.get("type") == "input_image":
            place = f"input[{index}].content[{at}].detail"
            yield from find_wrong_detail(part.get("detail"), place, request.family)


def _find_wrong_reasoning(request: Request, item: dict[str, Any], index: int) -> Iterator[Refusal]:
    if item.get("type") == "reasoning" and not isinstance(item.get("summary"), list):
        yield refuse_missing(f"input[{index}].summary")
    if item.get("encrypted_content"):
        if request.family is not None and not request.family.responses_efforts:
            yield Refusal("Encrypted content is not supported with this model.", None, None)
    elif request.get("store") is False:
        yield Refusal(
            f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is set to false. "
            "Try again with `store` set to true, or remove this item from your input.",
            "input",
            None,
            status=404,
        )


def _find_wrong_computer_call(item: dict[str, Any], index: int) -> Iterator[Refusal]:
    for name in ("id", "call_id", "pending_safety_checks", "status"):
        if item.get(name) is None:
            yield refuse_missing(f"input[{index}].{name}")
    if not str(item.get("id")).startswith("cu_"):
        message = f"Invalid 'input[{index}].id': '{item.get('id')}'. Expected an ID that begins with 'cu'."
        yield Refusal(message, f"input[{index}].id", "invalid_value")


def _find_unpaired_calls(items: Iterator[dict[str, Any]]) -> Iterator[Refusal]:
    waiting: dict[str, str] = {}
    """The kind of each call without a result, by its id."""
    for item in items:
        call_id = item.get("call_id")
        if not isinstance(call_id, str):
            continue
        call = str(item.get("type")).removesuffix("_output")
        if call not in _CALLS:
            continue
        if call == item.get("type"):
            waiting[call_id] = call
        elif waiting.get(call_id) == call:
            del waiting[call_id]
        else:
            message = f"No tool call found for {_CALLS[call]} output with call_id {call_id}."
            yield Refusal(message, "input", None)
    for call_id, call in waiting.items():
        yield Refusal(f"No tool output found for {_CALLS[call]} {call_id}.", "input", None)
