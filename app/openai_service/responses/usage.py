"""Renames the fields of a response's usage to those of chat completions, which callers know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}


def rename_usage(usage: object) -> Any:
    """Return a usage with the field names of chat completions; anything but an object is returned unchanged."""
    if not isinstance(usage, Mapping):
        return usage
    return {_NAMES.get(name, name): value for name, value in usage.items()}
