"""Translates the names of parameters between our API, /v1/chat/completions and /v1/responses."""

from __future__ import annotations

import re

from pydantic.alias_generators import to_camel

_INDEX = re.compile(r"\.?\[(\d+)\]")
_API_NAMES = {
    "max_completion_tokens": "maxTokens",
    "max_output_tokens": "maxTokens",
    "response_format": "schema",
    "text.format": "schema",
    "instructions": "messages",
}
_CHAT_NAMES = {
    "reasoning": "reasoning_effort",
    "text.verbosity": "verbosity",
    "text.format": "response_format",
    "max_output_tokens": "max_completion_tokens",
}


def to_chat_name(param: str) -> str:
    """Return the chat completions' name for a parameter of either endpoint, or for a part of one."""
    for name, chat_name in _CHAT_NAMES.items():
        if param == name or param.startswith((f"{name}.", f"{name}[")):
            return chat_name
    return param


def to_api_name(param: str) -> str:
    """Return our API's name for a parameter of the upstream, such as `messages.[3].content`.

    For tools the whole path is returned, since they are sent unchanged. For messages it is not: their indexes differ, as
    turns may have been added or removed.
    """
    chat_name = to_chat_name(param)
    if chat_name.startswith("tools"):
        return _INDEX.sub(r".\1", chat_name)
    name = chat_name.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]
    return _API_NAMES.get(name) or to_camel(name)
