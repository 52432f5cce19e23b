"""ChatCall, the service's input: a conversation to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from app.frozen import frozen
from app.openai_service.responses.hosted_tools import HostedTools
from app.openai_service.tools.tool import ServerTool


@frozen()
class ChatCall:
    """A conversation to answer, in OpenAI's format.

    Attributes:
        operation: chat, vision or structured.
        messages: the turns, in OpenAI's format.
        request_id: the id of the HTTP request.
        model: None for the operation's default.
        max_tokens: the maximum for the answer; None for the site's. A number above the site's is lowered to it.
        reasoning_effort, verbosity, service_tier: None for the site's default, or else the model's.
        stop: up to four texts at which the answer ends.
        top_p, seed, frequency_penalty, presence_penalty, logit_bias: OpenAI's parameters of these names.
        tools: functions and other tools that the client runs.
        has_computer: whether `tools` or an earlier turn contains the computer tool.
        parallel_tool_calls: whether the model may call several tools at once.
        ceiling: the maximum of `max_tokens` for this call, if it is lower than the site's.
        model_is_pinned: whether the site chose the model. Such a model need not be among those offered to callers.
        may_be_cached: whether an earlier answer to the same request may be returned.
        hosted: tools that run at OpenAI, in addition to `tools`.
        server_tools: functions that run on this server, instead of `tools`.
        prompt_version: identifies the site's own text at the beginning of the conversation.
        is_one_shot: whether the conversation is not expected to continue.
        adjusted: the caller's parameters that were changed already, such as {"detail": "low"}.
    """

    operation: str
    messages: list[dict[str, Any]]
    request_id: str
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    stop: str | list[str] | None = None
    top_p: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    tools: list[dict[str, Any]] | None = None
    has_computer: bool | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    ceiling: int | None = None
    model_is_pinned: bool = False
    may_be_cached: bool = False
    hosted: HostedTools | None = None
    server_tools: Sequence[ServerTool] = ()
    prompt_version: str = ""
    is_one_shot: bool = False
    adjusted: Mapping[str, str] = field(default_factory=dict)
