"""Find the errors that /v1/chat/completions reports for a body."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.models.families.family import Family
from app.models.families.refusals import common, reasoning
from app.models.families.refusals.refusal import Refusal, refuse_invalid, refuse_missing, refuse_parameter
from app.models.families.refusals.request import Request, iter_objects

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_PARTS = {
    "assistant": ("text", "refusal"),
    "user": ("text", "image_url", "input_audio", "file"),
}


def find_refusals(request: Request) -> Iterator[Refusal]:
    """Yield the refusals of a body, in the order in which OpenAI checks it."""
    yield from common.find_unknown_parameters(request)
    yield from common.find_values_out_of_bounds(request)
    yield from common.find_wrong_tier(request)
    yield from common.find_wrong_stream_options(request)
    yield from _find_wrong_messages(request)
    yield from _find_wrong_tools(request)
    if request.get("response_format", "type") == "json_object" and not request.mentions_json():
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )
        yield Refusal(message, "messages", None)
    yield from common.find_gone_model(request)
    yield from common.find_wrong_cache_options(request)
    if request.family is not None:
        yield from _find_what_the_family_refuses(request, request.family)


def _find_what_the_family_refuses(request: Request, family: Family) -> Iterator[Refusal]:
    if not family.chat:
        yield _refuse_model(family)
    if request.get("max_tokens") is not None and not family.takes_max_tokens:
        yield refuse_parameter("max_tokens", " Use 'max_completion_tokens' instead.")
    if request.get("stop") is not None and not family.takes_stop:
        yield refuse_parameter("stop")
    if request.get("parallel_tool_calls") is not None and not family.takes_parallel_tool_calls:
        yield refuse_parameter("parallel_tool_calls")
    yield from reasoning.find_wrong_effort(request, family)
    yield from reasoning.find_tools_while_reasoning(request, family)
    yield from reasoning.find_sampling(request, family)
    yield from reasoning.find_wrong_verbosity(request, family)
    yield from _find_wrong_details(request, family)
    if request.get("max_completion_tokens") == 1 and request.effort not in (None, "none"):
        message = "Could not finish the message because max_tokens or model output limit was reached."
        yield Refusal(f"{message} Please try again with higher max_tokens.", None, None)


def _find_wrong_details(request: Request, family: Family) -> Iterator[Refusal]:
    for index, message in request.list_objects("messages"):
        for at, part in iter_objects(message.get("content")):
            image = part.get("image_url")
            if part.get("type") == "image_url" and isinstance(image, dict):
                place = f"messages[{index}].content[{at}].image_url.detail"
                yield from common.find_wrong_detail(image.get("detail"), place, family)


def _refuse_model(family: Family) -> Refusal:
    if "codex" in family.name:
        message = "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use v1/completions?"
    else:
        message = "This model is only supported in v1/responses and not in v1/chat/completions."
    return Refusal(message, "model", None, status=404)


def _find_wrong_tools(request: Request) -> Iterator[Refusal]:
    if request.get("tools") == []:
        message = "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead."
        yield Refusal(message, "tools", "empty_array")
    if request.get("tools") is None:
        for name in ("tool_choice", "parallel_tool_calls"):
            if request.get(name) is not None:
                message = f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
                yield Refusal(message, name, None)
    for index, tool in request.list_objects("tools"):
        if tool.get("type") == "function" and not isinstance(tool.get("function"), dict):
            yield refuse_missing(f"tools[{index}].function")


def _find_wrong_messages(request: Request) -> Iterator[Refusal]:
    waiting: dict[str, None] = {}
    """The ids of the calls without a result so far, in order."""
    for index, message in request.list_objects("messages"):
        role = message.get("role")
        if role not in _ROLES:
            yield refuse_invalid(f"messages[{index}].role", role, _ROLES)
            continue
        yield from _find_wrong_parts(message, index)
        if role == "tool":
            call_id = message.get("tool_call_id")
            if not isinstance(call_id, str) or call_id not in waiting:
                yield Refusal(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                    f"messages.[{index}].role",
                    None,
                )
            else:
                del waiting[call_id]
            continue
        if waiting:
            break
        waiting = {
            call["id"]: None
            for _, call in iter_objects(message.get("tool_calls"))
            if isinstance(call.get("id"), str)
        }
    if waiting:
        yield Refusal(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
            f"The following tool_call_ids did not have response messages: {', '.join(waiting)}",
            "messages",
            None,
        )


def _find_wrong_parts(message: dict[str, Any], index: int) -> Iterator[Refusal]:
    known = _PARTS.get(message["role"], ("text",))
    for at, part in iter_objects(message.get("content")):
        if part.get("type") not in known:
            yield refuse_invalid(f"messages[{index}].content[{at}].type", part.get("type"), known)
