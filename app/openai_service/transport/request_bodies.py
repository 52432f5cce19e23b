"""Requests in OpenAI's own form, but for their model: the same whether they are sent at once or in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.config import Config
from app.openai_service.errors import ModelNotOffered
from app.openai_service.results import ChatCall

CHAT_PATH = "/chat/completions"
EMBEDDINGS_PATH = "/embeddings"

STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
"""What a request has more where its answer is to be streamed."""


def offered_model(config: Config, operation: str, model: str | None, *, is_pinned: bool = False) -> str:
    """The model that was asked for, or the operation's own.

    Args:
        is_pinned: whether the site itself chose it.
    Raises:
        ModelNotOffered: callers may not name it.
    """
    offered = config.models_offered(operation)
    if model is not None and model not in offered and not is_pinned:
        raise ModelNotOffered(model)
    return model or offered[0]


def chat_body(
    config: Config, call: ChatCall, *, max_tokens: int | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """The body of a chat, and what in it is otherwise than the caller asked for.

    Args:
        max_tokens: the caller's own ceiling, where it is less than the site's.
    """
    adjusted = {}
    ceilings = (config.max_tokens, max_tokens, call.ceiling)
    max_tokens = min(ceiling for ceiling in ceilings if ceiling is not None)
    if call.max_tokens is not None:
        if call.max_tokens > max_tokens:
            adjusted["maxTokens"] = str(max_tokens)
        max_tokens = min(call.max_tokens, max_tokens)
    optional = {
        "temperature": call.temperature,
        "tools": [tool.definition for tool in call.server_tools] or call.tools,
        "tool_choice": call.tool_choice,
        "response_format": call.response_format,
    }
    body: dict[str, Any] = {"messages": call.messages, config.max_tokens_param: max_tokens}
    return body | {name: value for name, value in optional.items() if value is not None}, adjusted


def embeddings_body(texts: Sequence[str], *, dimensions: int | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {"input": list(texts), "encoding_format": "float"}
    return body if dimensions is None else body | {"dimensions": dimensions}
