"""Define the request and response bodies of POST /v1/chat/completions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from app.config import ReasoningEffort, ServiceTier, Verbosity
from app.openai_service import ChatCall, ChatResult
from app.problems import InvalidRequest
from app.prompts.selection import Conversation, PromptSelection
from app.web.encoders.openai_sse import name_finish_reason
from app.web.schemas.chat import build_chat_call
from app.web.schemas.fields import MaxTokens, ModelName, PromptFields, Temperature
from app.web.schemas.messages import build_turns
from app.web.schemas.tools import OfferedTools, ToolChoice, Tools
from app.web.schemas.v1.fields import OpenAIModel, only
from app.web.schemas.v1.messages import Messages, to_turns
from app.web.schemas.v1.response_format import ResponseFormat, check_response_format
from app.web.schemas.validation import AS_OTHER, AS_TEXT, get_union_tag

_Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_StopText = Annotated[str, Field(min_length=1, max_length=1_000)]
_Stop = Annotated[
    Annotated[_StopText, Tag(AS_TEXT)] | Annotated[list[_StopText], Field(max_length=4), Tag(AS_OTHER)],
    Discriminator(get_union_tag),
]
_USE_TOOLS = "use tools and tool_choice"


class StreamOptions(OpenAIModel):
    """What a stream has beside its chunks of text."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatCompletionsRequest(PromptFields, OpenAIModel):
    """OpenAI's whole request. Parameters of type Any are accepted and ignored; `only` has the values that are served.

    An SDK sends the fields that OpenAI does not have in its `extra_body`.
    """

    messages: Messages
    model: ModelName | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    max_tokens: MaxTokens | None = None
    max_completion_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    top_p: _Share | None = None
    stop: _Stop | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    reasoning_effort: ReasoningEffort | None = None
    verbosity: Verbosity | None = None
    service_tier: ServiceTier | None = None
    response_format: ResponseFormat | None = None

    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None

    n: Annotated[Any, only(1, instead="send several requests")] = None
    logprobs: Annotated[Any, only(False)] = None
    top_logprobs: Annotated[Any, only(0)] = None
    logit_bias: Annotated[Any, only({})] = None
    presence_penalty: Annotated[Any, only(0, 0.0)] = None
    frequency_penalty: Annotated[Any, only(0, 0.0)] = None
    functions: Annotated[Any, only(instead=_USE_TOOLS)] = None
    function_call: Annotated[Any, only(instead=_USE_TOOLS)] = None
    modalities: Annotated[Any, only(["text"])] = None
    audio: Annotated[Any, only()] = None
    prediction: Annotated[Any, only()] = None
    web_search_options: Annotated[Any, only()] = None
    moderation: Annotated[Any, only()] = None

    user: Any = None  # who calls is known from the credential
    safety_identifier: Any = None
    store: Any = None  # nothing is stored
    metadata: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None

    cache: bool | None = None

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with a chunk that has the usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def to_call(
        self, prompts: PromptSelection, *, request_id: str, server_tools: OfferedTools | None = None
    ) -> ChatCall:
        """Build the call to the service. Args and Raises as ChatRequest.to_call()."""
        self._check()
        prompt = prompts.select(self)
        settings = {
            # Every SDK sends a model, so that of a stored prompt replaces it.
            "model": None if prompts.overrides("model", prompt) else self.model,
            "temperature": self.temperature,
            "max_tokens": self.max_completion_tokens or self.max_tokens,
            "reasoning_effort": self.reasoning_effort,
            "verbosity": self.verbosity,
            "service_tier": self.service_tier,
            "stop": self.stop or None,
            "top_p": self.top_p,
            "seed": self.seed,
            "parallel_tool_calls": self.parallel_tool_calls,
            "tools": self.tools,
            "tool_choice": self.tool_choice,
            "response_format": self.response_format,
            "may_be_cached": bool(self.cache),
        }
        conversation = Conversation(build_turns(to_turns(self.messages)), request_id)
        return build_chat_call(conversation, settings, self, prompts, server_tools)

    def _check(self) -> None:
        if self.stream_options is not None and not self.stream:
            raise InvalidRequest("needs stream to be true.", field="stream_options")
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise InvalidRequest("give either max_tokens or max_completion_tokens.", field="max_tokens")
        if self.response_format is not None:
            check_response_format(self.response_format)
        self._check_tools()

    def _check_tools(self) -> None:
        if self.tool_choice is None:
            return
        if self.tools is None:
            raise InvalidRequest("needs tools.", field="tool_choice")
        names = [tool["function"]["name"] for tool in self.tools]
        if isinstance(self.tool_choice, dict) and self.tool_choice["function"]["name"] not in names:
            raise InvalidRequest("names a function that is not among the tools.", field="tool_choice")


def chat_completion(result: ChatResult, completion_id: str, created: int) -> dict[str, Any]:
    """Return OpenAI's `chat.completion`.

    Args:
        result: the answer.
        completion_id: for an answer of a server that gives none.
        created: in seconds since 1970.
    """
    has_calls = bool(result.tool_calls)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": result.text or (None if has_calls or result.refusal else ""),
        "refusal": result.refusal,
    }
    if has_calls:
        message["tool_calls"] = result.tool_calls
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": name_finish_reason(result.finish_reason, has_calls),
    }
    return {
        "id": result.id or completion_id,
        "object": "chat.completion",
        "created": created,
        "model": result.model,
        "choices": [choice],
        "usage": result.usage and result.usage.raw,
        "system_fingerprint": None,
    }
