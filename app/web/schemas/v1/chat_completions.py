"""Define the request and response bodies of POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from app.openai_service import ChatCall, ChatResult
from app.problems import InvalidRequest
from app.prompts.selection import Conversation, PromptSelection
from app.web.encoders.openai_sse import build_tool_call, map_finish_reason, read_service_tier
from app.web.media.intake import MediaIntake
from app.web.schemas.chat import build_chat_call
from app.web.schemas.fields import AnswerFields, MaxTokens, StreamFields
from app.web.schemas.messages import ConversationRequest, build_turns
from app.web.schemas.sealed_reasoning import build_details
from app.web.schemas.tools import MAX_TOOLS, NamedTool, OfferedTools, Tool, make_strict_tools
from app.web.schemas.v1.allowed_tools import ALLOWED_TOOLS, AllowedOfChat, choose_functions
from app.web.schemas.v1.custom_tools import AS_CUSTOM, CUSTOM, CustomTool, NamedCustom, drop_nulls, get_tool_tag
from app.web.schemas.v1.fields import OpenAIModel, only
from app.web.schemas.v1.messages import Messages, to_turns
from app.web.schemas.v1.response_format import ResponseFormat, read_response_format
from app.web.schemas.validation import AS_OTHER, AS_TEXT, get_union_tag

_Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
_Bias = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
_USE_TOOLS = "use tools and tool_choice"
_AS_ALLOWED = "(as allowed_tools)"
_TAGS = {ALLOWED_TOOLS: _AS_ALLOWED, CUSTOM: AS_CUSTOM}


def _get_choice_tag(choice: Any) -> str:
    kind = choice.get("type") if isinstance(choice, dict) else None
    return _TAGS.get(kind, AS_OTHER) if isinstance(kind, str) else get_union_tag(choice)


_ToolChoice = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag(AS_TEXT)]
    | Annotated[NamedTool, Tag(AS_OTHER)]
    | Annotated[NamedCustom, Tag(AS_CUSTOM)]
    | Annotated[AllowedOfChat, Tag(_AS_ALLOWED)],
    Discriminator(_get_choice_tag),
]

_AnyTool = Annotated[
    Annotated[Tool, Tag(AS_OTHER)] | Annotated[CustomTool, Tag(AS_CUSTOM)], Discriminator(get_tool_tag)
]


class StreamOptions(OpenAIModel):
    """Options of a stream: a chunk with the usage, and padding."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatCompletionsRequest(AnswerFields, ConversationRequest, StreamFields, OpenAIModel):
    """OpenAI's complete request. Parameters of type Any are ignored, or accept `only` the supported values.

    OpenAI's SDKs send the fields that OpenAI does not have by `extra_body`.
    """

    takes_reasoning: ClassVar[bool] = False

    messages: Messages  # type: ignore[assignment]
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    max_completion_tokens: MaxTokens | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    logit_bias: Annotated[dict[str, _Bias], Field(max_length=300)] | None = None
    response_format: ResponseFormat | None = None

    tools: Annotated[list[_AnyTool], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)] | None = None
    tool_choice: _ToolChoice | None = None

    logprobs: Annotated[Any, only(False)] = None
    top_logprobs: Annotated[Any, only(0)] = None
    functions: Annotated[Any, only(instead=_USE_TOOLS)] = None
    function_call: Annotated[Any, only(instead=_USE_TOOLS)] = None
    modalities: Annotated[Any, only(["text"])] = None
    audio: Annotated[Any, only()] = None
    prediction: Annotated[Any, only()] = None
    web_search_options: Annotated[Any, only()] = None
    moderation: Annotated[Any, only()] = None

    user: Any = None  # the credential identifies the user
    safety_identifier: Any = None
    store: Any = None  # nothing is stored
    metadata: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None

    cache: bool | None = None

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with a chunk that contains the usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def may_be_padded(self) -> bool:
        """Whether the chunks of a stream may have a padding field."""
        return self.stream_options is None or self.stream_options.include_obfuscation is not False

    def to_call(
        self,
        prompts: PromptSelection,
        media: MediaIntake,
        *,
        request_id: str,
        server_tools: OfferedTools | None = None,
    ) -> ChatCall:
        """Build the call to the service. Args and Raises are those of ChatRequest.to_call()."""
        self._check()
        media.prepare(self, "chat", self.model, prompts)
        prompt = prompts.select(self)
        tools, tool_choice = choose_functions(self.tool_choice, self.tools and _make_tools(self.tools))
        settings = {
            **self.list_values(),
            # SDKs always send a model, so a stored prompt's model overrides it.
            "model": None if prompts.overrides("model", prompt) else self.model,
            "max_tokens": self.max_completion_tokens or self.max_tokens,
            "frequency_penalty": self.frequency_penalty,
            "presence_penalty": self.presence_penalty,
            "logit_bias": self.logit_bias,
            "tools": tools,
            "tool_choice": tool_choice,
            "response_format": read_response_format(self.response_format),
            "may_be_cached": bool(self.cache),
        }
        if not (turns := build_turns(to_turns(self.messages))):
            raise InvalidRequest("must have a message.", field="messages")
        conversation = Conversation(turns, request_id, adjusted=media.adjusted)
        return build_chat_call(conversation, settings, self, prompts, server_tools)

    def _check(self) -> None:
        if self.stream_options is not None and not self.stream:
            raise InvalidRequest("needs stream to be true.", field="stream_options")
        if not self.stream:
            self.refuse_to_resume()
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise InvalidRequest("give either max_tokens or max_completion_tokens.", field="max_tokens")
        self._check_tools()

    def _check_tools(self) -> None:
        choice: Any = self.tool_choice
        if choice is None:
            return
        if self.tools is None:
            raise InvalidRequest("needs tools.", field="tool_choice")
        tag = _get_choice_tag(choice)
        if tag in (AS_OTHER, AS_CUSTOM):
            kind = choice["type"]
            named: list[dict[str, Any]] = [tool[kind] for tool in self.tools if tool["type"] == kind]  # type: ignore[literal-required]
            if choice[kind]["name"] not in [each["name"] for each in named]:
                what = "a function" if kind == "function" else "a custom tool"
                raise InvalidRequest(f"names {what} that is not among the tools.", field="tool_choice")


def _make_tools(tools: Sequence[Any]) -> list[Any]:
    """Return the tools in the form that models accept. Raises the errors of make_strict_tools()."""
    return [tool if tool["type"] == "function" else drop_nulls(tool) for tool in make_strict_tools(tools)]


def build_chat_completion(
    result: ChatResult, completion_id: str, created: int, reasoning: str | None = None
) -> dict[str, Any]:
    """Return OpenAI's `chat.completion`.

    Args:
        result: the answer.
        completion_id: the id for an answer without one.
        created: in seconds since 1970.
        reasoning: the sealed reasoning, if the next turn needs it.
    """
    has_calls = bool(result.tool_calls)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": result.text or (None if has_calls or result.refusal else ""),
        "refusal": result.refusal,
    }
    if has_calls:
        message |= {"tool_calls": [*map(build_tool_call, result.tool_calls)], **build_details(reasoning)}
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": map_finish_reason(result.finish_reason, has_calls),
    }
    return {
        "id": result.id or completion_id,
        "object": "chat.completion",
        "created": created,
        "model": result.model,
        "choices": [choice],
        "usage": result.usage and result.usage.raw,
        "service_tier": read_service_tier(result.record),
        "system_fingerprint": None,
    }
