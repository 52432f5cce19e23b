"""The usage of responses by its names in chat completions, which are the ones that callers know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_USAGE = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}


def rename_usage(usage: object) -> Any:
    """Return the usage of a response with the names of a chat completion's; what is no object unchanged."""
    if not isinstance(usage, Mapping):
        return usage
    return {_USAGE.get(name, name): value for name, value in usage.items()}
