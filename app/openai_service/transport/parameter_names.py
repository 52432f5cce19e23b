"""The names of parameters: those of our API, of /v1/chat/completions and of /v1/responses."""

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
    """Return the name under which the body of a chat completion has a parameter of either endpoint, or a part of one."""
    for name, chat_name in _CHAT_NAMES.items():
        if param == name or param.startswith((f"{name}.", f"{name}[")):
            return chat_name
    return param


def to_api_name(param: str) -> str:
    """Return our API's name for a parameter of the upstream, such as `messages.[3].content`.

    Of tools the whole path, since they are sent as they came. A conversation is sent with other turns.
    """
    chat_name = to_chat_name(param)
    if chat_name.startswith("tools"):
        return _INDEX.sub(r".\1", chat_name)
    name = chat_name.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]
    return _API_NAMES.get(name) or to_camel(name)
