"""Usage and parameters of responses by their names in chat completions, which are the ones that callers know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.openai_service.errors import ParameterRejected, UpstreamError
from app.openai_service.transport.sdk_errors import to_api_name

_USAGE = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}
_PARAMETERS = {
    "max_output_tokens": "max_completion_tokens",
    "input": "messages",
    "reasoning.effort": "reasoning_effort",
    "text.verbosity": "verbosity",
    "text.format": "response_format",
}


def rename_usage(usage: object) -> Any:
    """Return the usage of a response with the names of a chat completion's; what is no object unchanged."""
    if not isinstance(usage, Mapping):
        return usage
    return {_USAGE.get(name, name): value for name, value in usage.items()}


def rename_param(error: UpstreamError) -> UpstreamError:
    """Give the parameter at fault the name that it has in the body of a chat completion."""
    param = error.param or ""
    for theirs, ours in _PARAMETERS.items():
        if param == theirs or param.startswith((f"{theirs}.", f"{theirs}[")):
            error.param = ours + param[len(theirs) :]
            if isinstance(error, ParameterRejected):
                error.field = to_api_name(error.param)
    return error
