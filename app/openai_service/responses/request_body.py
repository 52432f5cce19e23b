"""From the body of a chat completion to that of a response.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.openai_service.responses.client_tools import TRUNCATION, flatten_choice, flatten_tool
from app.openai_service.responses.input_items import build_items

MIN_OUTPUT_TOKENS = 16
"""The least that `max_output_tokens` may be. The limit of a chat completion may be 1."""

NOT_STORED = {"store": False}
"""What the body of a chat completion is completed by: responses are stored if it does not say otherwise."""

ENCRYPTED_REASONING = "reasoning.encrypted_content"
"""What `include` asks for. Models that do not reason refuse it."""

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
    """Return the body of a response, without its model, and what could not be translated.

    Args:
        body: of a chat completion.
        model: that is asked.
        reasons: whether the model reasons, so that its reasoning is asked for.

    Returns:
        the body; and the changes, such as {"stop": "dropped"}.
    """
    translated: dict[str, Any] = {}
    # What the prompt begins with comes first, as in a chat completion.
    if tools := body.get("tools"):
        translated["tools"] = [flatten_tool(tool) for tool in tools]
    if text := _build_text(body):
        translated["text"] = text
    translated["input"] = build_items(body["messages"], model)
    translated |= {name: value for name, value in body.items() if name in _SAME}
    adjusted = dict.fromkeys(find_chat_only(body), "dropped")
    body, lifted = clamp_limit(body)
    if (limit := get_limit(body)) is not None:
        translated["max_output_tokens"] = limit
    if (choice := body.get("tool_choice")) is not None:
        translated["tool_choice"] = flatten_choice(choice)
    if (effort := body.get("reasoning_effort")) is not None:
        translated["reasoning"] = {"effort": effort}
    if included := [*(body.get("include") or ()), *((ENCRYPTED_REASONING,) if reasons else ())]:
        translated["include"] = included
    if options := _leave_out(body.get("stream_options") or {}, "include_usage"):  # the last event always has it
        translated["stream_options"] = options
    return translated, adjusted | lifted


def clamp_limit(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body of a chat completion with a limit that responses accept, and the change if it was too low."""
    limit = get_limit(body)
    if limit is None or limit >= MIN_OUTPUT_TOKENS:
        return dict(body), {}
    lifted = {name: MIN_OUTPUT_TOKENS if name in _LIMITS else value for name, value in body.items()}
    return lifted, {"maxTokens": str(MIN_OUTPUT_TOKENS)}


def find_chat_only(body: Mapping[str, Any]) -> list[str]:
    """Return the parameters of a chat completion that mean something and that responses do not have."""
    # n = 1 asks for what there is anyway.
    return [
        name
        for name, value in body.items()
        if name not in _SAME and name not in _TRANSLATED and value is not None and not (name == "n" and value == 1)
    ]


def get_limit(body: Mapping[str, Any]) -> int | None:
    """Return the limit of the answer's tokens, if there is one."""
    for name in _LIMITS:
        limit: int | None = body.get(name)
        if limit is not None:
            return limit
    return None


def _build_text(body: Mapping[str, Any]) -> dict[str, Any]:
    text = {}
    if wanted := body.get("response_format"):
        text["format"] = _leave_out(wanted, "json_schema")
        if schema := wanted.get("json_schema"):
            text["format"] |= {"strict": False, **schema}
    if body.get("verbosity") is not None:
        text["verbosity"] = body["verbosity"]
    return text


def _leave_out(fields: Mapping[str, Any], left_out: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != left_out}
