"""Answer a chat request with text, JSON or a tool call, cut at its stop sequences and token limit."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

import orjson

from app.offline_model import replies, simulation, tokens
from app.offline_model.instances.instance import UnsatisfiableError, make_instance
from app.offline_model.prompt_cache import CacheUse
from app.offline_model.requests.chat_request import ChatRequest
from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import JsonObject

# Tokens that OpenAI counts for the start of its answer.
PRIMING_TOKENS = 3


@dataclass(frozen=True)
class Answer:
    """An answer as a list of tokens: of its text, or of the input of the tool `tool_name`.

    Attributes:
        thought: the reasoning of the model; empty if it did not reason, or does not show it.
        cache_use: the tokens of the prompt read from the prompt cache, and written to it.
        is_custom: whether the tool is a custom one, whose input is text.
        is_refusal: whether the text is a refusal.
    """

    request: ChatRequest
    pieces: list[str]
    finish_reason: str
    tool_name: str | None
    thought: str
    cache_use: CacheUse
    name: str
    created_s: int
    is_custom: bool = False
    is_refusal: bool = False

    @property
    def text(self) -> str:
        """The text, or the input of the tool."""
        return "".join(self.pieces)

    @property
    def prompt_tokens(self) -> int:
        """The tokens of the prompt, including cached ones."""
        messages = sum(message.prompt_tokens for message in self.request.messages)
        return PRIMING_TOKENS + self.request.tools.prompt_tokens + messages

    @property
    def reasoning_tokens(self) -> int:
        """The tokens of the thought."""
        return tokens.count(self.thought)

    @property
    def completion_tokens(self) -> int:
        """The tokens of the answer, including those of the thought. A tool's name counts as one."""
        return self.reasoning_tokens + len(self.pieces) + bool(self.tool_name)


def make_answer(request: ChatRequest, cache_use: CacheUse, thought: str = "") -> Answer:
    """Answer a request.

    Raises:
        InvalidRequestError: no value was found for a schema.
    """
    after_tool = request.messages[-1].role == "tool"
    is_refusal = simulation.plays("refusal")
    tool = None if after_tool or is_refusal else request.tools.choose(request.user_text)
    if tool:
        text = request.user_text if tool.is_custom else _make_instance(tool.parameters, request.user_text, "tools")
        finish_reason = "tool_calls"
    else:
        text = simulation.REFUSAL if is_refusal else _cut_at_stop(_write_reply(request), request.stop)
        finish_reason = "stop"
    pieces = tokens.split(text)
    limit = len(pieces)
    is_filtered = simulation.plays("content-filter")
    if is_filtered:
        limit, finish_reason = limit // 2, "content_filter"
    if request.max_tokens is not None:
        limit = min(limit, max(0, request.max_tokens - bool(tool) - tokens.count(thought)))
    return Answer(
        request=request,
        pieces=pieces[:limit],
        finish_reason=finish_reason if len(pieces) <= limit or is_filtered else "length",
        tool_name=tool.name if tool else None,
        thought=thought,
        cache_use=cache_use,
        name=uuid.uuid4().hex,
        created_s=int(time.time()),
        is_custom=bool(tool and tool.is_custom),
        is_refusal=is_refusal,
    )


def _write_reply(request: ChatRequest) -> str:
    match request.response_format.kind:
        case "json_schema":
            return _make_instance(request.response_format.schema, request.user_text, "response_format")
        case "json_object":
            return orjson.dumps(replies.write_json(request.messages)).decode()
    return replies.write_text(request.messages)


def _make_instance(schema: JsonObject | bool, text: str, param: str) -> str:
    try:
        return orjson.dumps(make_instance(schema, text)).decode()
    except (UnsatisfiableError, orjson.JSONEncodeError) as error:
        raise InvalidRequestError(
            f"The offline model found no value for the schema: {error}", param=param
        ) from error


def _cut_at_stop(text: str, stops: tuple[str, ...]) -> str:
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text
