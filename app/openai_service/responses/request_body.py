"""Translates the body of a chat completion into the body of a response.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.openai_service.responses.client_tools import TRUNCATION, flatten_choice, flatten_tool
from app.openai_service.responses.input_items import build_items

MIN_OUTPUT_TOKENS = 16
"""The minimum of `max_output_tokens`. The limit of a chat completion may be 1."""

NOT_STORED = {"store": False}
"""Added to each body, since OpenAI stores responses by default."""

ENCRYPTED_REASONING = "reasoning.encrypted_content"
"""The value of `include` that requests encrypted reasoning. Models that do not reason reject it."""

_SAME = frozenset(
    {
        "max_tool_calls",
        "metadata",
        "moderation",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_options",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "temperature",
        "top_p",
        TRUNCATION,
        "user",
    }
)
_LIMITS = frozenset({"max_completion_tokens", "max_tokens"})
_TRANSLATED = _LIMITS | {
    "include",
    "messages",
    "reasoning_effort",
    "response_format",
    "stream_options",
    "tool_choice",
    "tools",
    "verbosity",
}


def build_response_body(
    body: Mapping[str, Any], model: str, *, reasons: bool
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body of a response without its model, and the changes to its parameters.

    Args:
        body: of a chat completion.
        model: the requested model.
        reasons: whether the model reasons, so that its encrypted reasoning is requested.

    Returns:
        the body, and the changes, such as {"stop": "dropped"}.
    """
    translated: dict[str, Any] = {}
    # The fields are in the order in which they make up the prompt, as in a chat completion.
    if tools := body.get("tools"):
        translated["tools"] = [flatten_tool(tool) for tool in tools]
    if text := _build_text(body):
        translated["text"] = text
    translated["input"] = build_items(body["messages"], model)
    translated |= {name: value for name, value in body.items() if name in _SAME}
    adjusted = dict.fromkeys(find_chat_only(body), "dropped")
    body, clamped = clamp_limit(body)
    if (limit := get_limit(body)) is not None:
        translated["max_output_tokens"] = limit
    if (choice := body.get("tool_choice")) is not None:
        translated["tool_choice"] = flatten_choice(choice)
    if (effort := body.get("reasoning_effort")) is not None:
        translated["reasoning"] = {"effort": effort}
    if included := [*(body.get("include") or ()), *((ENCRYPTED_REASONING,) if reasons else ())]:
        translated["include"] = included
    if options := _without(body.get("stream_options") or {}, "include_usage"):  # the last event always has it
        translated["stream_options"] = options
    return translated, adjusted | clamped


def clamp_limit(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body with its output limit raised to the minimum of /responses, and the change if there is one."""
    limit = get_limit(body)
    if limit is None or limit >= MIN_OUTPUT_TOKENS:
        return dict(body), {}
    clamped = {name: MIN_OUTPUT_TOKENS if name in _LIMITS else value for name, value in body.items()}
    return clamped, {"maxTokens": str(MIN_OUTPUT_TOKENS)}


def find_chat_only(body: Mapping[str, Any]) -> list[str]:
    """Return the parameters of a chat completion that /responses does not have and that have an effect."""
    # n = 1 is the default.
    return [
        name
        for name, value in body.items()
        if name not in _SAME and name not in _TRANSLATED and value is not None and not (name == "n" and value == 1)
    ]


def get_limit(body: Mapping[str, Any]) -> int | None:
    """Return the limit of output tokens, if any."""
    for name in _LIMITS:
        limit: int | None = body.get(name)
        if limit is not None:
            return limit
    return None


def _build_text(body: Mapping[str, Any]) -> dict[str, Any]:
    text = {}
    if response_format := body.get("response_format"):
        text["format"] = _without(response_format, "json_schema")
        if schema := response_format.get("json_schema"):
            text["format"] |= {"strict": False, **schema}
    if body.get("verbosity") is not None:
        text["verbosity"] = body["verbosity"]
    return text


def _without(fields: Mapping[str, Any], omitted: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != omitted}
