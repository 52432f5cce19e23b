"""Find the errors that /v1/responses reports for a body."""

from __future__ import annotations

from collections.abc import Iterator

from app.models.families.family import Family
from app.models.families.refusals import common, reasoning
from app.models.families.refusals.input_items import find_wrong_items
from app.models.families.refusals.refusal import Refusal, refuse_invalid, refuse_missing
from app.models.families.refusals.request import Request

_FORMATS = ("text", "json_object", "json_schema")
_ENCRYPTED = "reasoning.encrypted_content"
_INPUTS = ("input", "prompt", "previous_response_id", "conversation")


def find_refusals(request: Request) -> Iterator[Refusal]:
    """Yield the refusals of a body, in the order in which OpenAI checks it."""
    yield from common.find_unknown_parameters(request)
    yield from common.find_values_out_of_bounds(request)
    yield from common.find_wrong_tier(request)
    yield from common.find_wrong_stream_options(request)
    if all(request.get(name) is None for name in _INPUTS):
        yield refuse_missing("input")
    yield from _find_wrong_format(request)
    yield from _find_wrong_tools(request)
    yield from common.find_gone_model(request)
    yield from common.find_wrong_cache_options(request)
    if request.family is not None:
        yield from _find_what_the_family_refuses(request, request.family)
    yield from find_wrong_items(request)


def _find_what_the_family_refuses(request: Request, family: Family) -> Iterator[Refusal]:
    if not family.responses:
        message = "This model is not supported in the v1/responses endpoint."
        yield Refusal(message, "model", None, status=404)
    yield from reasoning.find_wrong_effort(request, family)
    yield from reasoning.find_sampling(request, family)
    yield from reasoning.find_wrong_verbosity(request, family)
    include = request.get("include")
    if isinstance(include, list) and _ENCRYPTED in include and not family.responses_efforts:
        yield Refusal("Encrypted content is not supported with this model.", "include", None)


def _find_wrong_format(request: Request) -> Iterator[Refusal]:
    if not isinstance(request.get("text", "format"), dict):
        return
    kind = request.get("text", "format", "type")
    if kind not in _FORMATS:
        yield refuse_invalid("text.format.type", kind, _FORMATS)
    if kind == "json_object" and not request.mentions_json():
        message = "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'."
        yield Refusal(message, "input", None)
    if kind == "json_schema":
        for name in ("name", "schema"):
            if request.get("text", "format", name) is None:
                yield refuse_missing(f"text.format.{name}")


def _find_wrong_tools(request: Request) -> Iterator[Refusal]:
    for index, tool in request.list_objects("tools"):
        if tool.get("type") in ("function", "custom") and tool.get("name") is None:
            yield refuse_missing(f"tools[{index}].name")
        # Source: AIProxyTeam/AIProxySwift#137
        if tool.get("type") == "computer_use_preview" and request.get("truncation") != "auto":
            message = "The computer_use_preview tool requires 'truncation' to be 'auto'."
            yield Refusal(message, "truncation", None)
    choice = request.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function" and choice.get("name") is None:
        yield refuse_missing("tool_choice.name")
