"""Builds bodies in OpenAI's format, without their model, for single requests and for batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.config import ModelSettings
from app.openai_service.chat_call import ChatCall
from app.openai_service.errors import ModelNotOffered
from app.openai_service.responses.client_tools import TRUNCATION
from app.openai_service.responses.hosted_tools import MAX_CALLS

CHAT_PATH = "/chat/completions"
RESPONSES_PATH = "/responses"
EMBEDDINGS_PATH = "/embeddings"

STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
"""The additional fields of a request whose answer is streamed."""


def streamed_fields(settings: ModelSettings) -> dict[str, Any]:
    """Return the fields of STREAMED that the site's settings allow."""
    return STREAMED if settings.stream_options else {"stream": True}


def offered_model(settings: ModelSettings, operation: str, model: str | None, *, is_pinned: bool = False) -> str:
    """Return the requested model, or the operation's default.

    Args:
        settings: the models that each operation offers.
        operation: chat, vision, embeddings or structured.
        model: None for the default.
        is_pinned: whether the site chose the model, which then need not be offered.

    Raises:
        ModelNotOffered: callers may not request this model.
    """
    offered = settings.offered[operation]
    if model is not None and model not in offered and not is_pinned:
        raise ModelNotOffered(model)
    return model or offered[0]


def chat_body(
    settings: ModelSettings, call: ChatCall, *, max_tokens: int | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body of a chat completion, and the changes to the caller's parameters.

    Args:
        settings: the site's maximum number of tokens, the parameter's name for it, and the site's defaults.
        call: the conversation.
        max_tokens: the caller's own maximum, if any.

    Returns:
        the body, and the changes, such as {"maxTokens": "1024"}.
    """
    adjusted = dict(call.adjusted)
    ceilings = (settings.max_tokens, max_tokens, call.ceiling)
    max_tokens = min(ceiling for ceiling in ceilings if ceiling is not None)
    if call.max_tokens is not None:
        if call.max_tokens > max_tokens:
            adjusted["maxTokens"] = str(max_tokens)
        max_tokens = min(call.max_tokens, max_tokens)
    tools, hosted = [tool.definition for tool in call.server_tools] or call.tools, call.hosted
    if hosted is not None:
        tools = [*(tools or ()), *map(dict, hosted.tools)]
    parallel_tool_calls = call.parallel_tool_calls
    if parallel_tool_calls is not None and not tools:  # OpenAI refuses it without tools
        parallel_tool_calls = None
        adjusted["parallelToolCalls"] = "dropped"
    # The fields that begin the prompt come first, in a fixed order: the upstream's cache matches common prefixes.
    fields = {
        "tools": tools,
        "response_format": call.response_format,
        "messages": call.messages,
        settings.max_tokens_param: max_tokens,
        "temperature": call.temperature,
        "top_p": call.top_p,
        "stop": call.stop,
        "seed": call.seed,
        "frequency_penalty": call.frequency_penalty,
        "presence_penalty": call.presence_penalty,
        "logit_bias": call.logit_bias,
        "reasoning_effort": call.reasoning_effort or settings.reasoning_effort,
        "verbosity": call.verbosity or settings.verbosity,
        "service_tier": call.service_tier or settings.service_tier,
        "tool_choice": call.tool_choice,
        "parallel_tool_calls": parallel_tool_calls,
        TRUNCATION: "auto" if call.has_computer else None,
        MAX_CALLS: None if hosted is None else hosted.max_calls,
        "include": None if hosted is None or not hosted.include else list(hosted.include),
    }
    return {name: value for name, value in fields.items() if value is not None}, adjusted


def embeddings_body(texts: Sequence[str | list[int]], *, dimensions: int | None = None) -> dict[str, Any]:
    """Return the body of an embeddings request."""
    body: dict[str, Any] = {"input": list(texts), "encoding_format": "float"}
    return body if dimensions is None else body | {"dimensions": dimensions}
