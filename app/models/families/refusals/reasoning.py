"""Find parameters that a family does not accept, or not while it reasons: efforts, verbosities, sampling, tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.models.families.family import Family
from app.models.families.refusals.refusal import Refusal, refuse_invalid, refuse_parameter, refuse_value
from app.models.families.refusals.request import Request

ALL_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_ALL_VERBOSITIES = ("low", "medium", "high")
_CHAT_SAMPLING = ("top_p", "logprobs", "top_logprobs", "presence_penalty", "frequency_penalty", "logit_bias")
_RESPONSES_SAMPLING = ("temperature", "top_p", "top_logprobs")
_LOGPROBS = "message.output_text.logprobs"


def find_wrong_effort(request: Request, family: Family) -> Iterator[Refusal]:
    """Yield a refusal if the family does not have the effort on this endpoint."""
    if request.endpoint == "chat":
        name, sent, supported = "reasoning_effort", request.get("reasoning_effort"), family.efforts
    else:
        name, sent, supported = "reasoning.effort", request.get("reasoning", "effort"), family.responses_efforts
        if not supported and request.get("reasoning", "summary") is not None:
            yield refuse_parameter("reasoning.summary")
    if sent is None or sent in supported:
        return
    if sent not in ALL_EFFORTS:
        yield refuse_invalid(name, sent, ALL_EFFORTS)
    elif not supported:
        yield refuse_parameter(name)
    else:
        yield refuse_value(name, sent, supported)


def find_wrong_verbosity(request: Request, family: Family) -> Iterator[Refusal]:
    """Yield a refusal if the family does not have the verbosity."""
    path = ("verbosity",) if request.endpoint == "chat" else ("text", "verbosity")
    sent = request.get(*path)
    if sent is None or sent in family.verbosities:
        return
    name = ".".join(path)
    if sent in _ALL_VERBOSITIES:
        yield refuse_value(name, sent, family.verbosities)
    else:
        yield refuse_invalid(name, sent, _ALL_VERBOSITIES)


def find_sampling(request: Request, family: Family) -> Iterator[Refusal]:
    """Yield a refusal for each sampling parameter that is not accepted at this effort."""
    if request.permits(family.sampling):
        return
    if request.endpoint == "chat":
        temperature = request.get("temperature")
        if temperature is not None and temperature != 1:
            message = f"Unsupported value: 'temperature' does not support {temperature} with this model."
            yield Refusal(
                f"{message} Only the default (1) value is supported.", "temperature", "unsupported_value"
            )
        yield from (refuse_parameter(name) for name in _CHAT_SAMPLING if request.get(name) is not None)
        return
    for name in _RESPONSES_SAMPLING:
        if request.get(name) is not None:
            yield Refusal(refuse_parameter(name).message, name, None)
    include = request.get("include")
    if isinstance(include, list) and _LOGPROBS in include:
        yield Refusal(f"Unsupported include: '{_LOGPROBS}' is not supported with this model.", "include", None)


def find_tools_while_reasoning(request: Request, family: Family) -> Iterator[Refusal]:
    """Yield a refusal if /v1/chat/completions does not accept function tools at this effort."""
    if not _has_function_tools(request) or request.permits(family.chat_tools):
        return
    works_without_reasoning = family.chat_tools == "without_reasoning" and family.has_cache_breakpoints
    yield Refusal(
        f"Function tools with reasoning_effort are not supported for {request.model} in /v1/chat/completions. "
        + (
            "To use function tools, use /v1/responses or set reasoning_effort to 'none'."
            if works_without_reasoning
            else "Please use /v1/responses instead."
        ),
        "reasoning_effort",
        None,
    )


def _has_function_tools(request: Request) -> bool:
    tools: list[Any] = [tool for _, tool in request.list_objects("tools")]
    return bool(request.get("functions")) or any(tool.get("type") == "function" for tool in tools)
