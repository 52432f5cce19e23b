"""Define the request body of POST /v1/responses."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from app.config import HostedToolSettings, ReasoningEffort, ServiceTier
from app.openai_service import ChatCall
from app.openai_service.responses.generated_images import IMAGE_ITEM
from app.openai_service.responses.request_body import ENCRYPTED_REASONING
from app.problems import InvalidRequest
from app.prompts.parameters import TopP
from app.prompts.selection import Conversation, PromptSelection
from app.web.media.intake import MediaIntake
from app.web.schemas.chat import build_chat_call
from app.web.schemas.fields import MaxTokens, ModelName, PromptFields, Temperature
from app.web.schemas.messages import ConversationRequest
from app.web.schemas.tools import OfferedTools
from app.web.schemas.v1.allowed_tools import choose_tools
from app.web.schemas.v1.computer_use import has_computer_calls, read_computer_tools
from app.web.schemas.v1.fields import OpenAIModel, SystemText, only
from app.web.schemas.v1.hosted_tools import check_read_images, describe_hosted_tools, read_hosted_tools
from app.web.schemas.v1.response_format import read_response_format
from app.web.schemas.v1.response_items import Input, to_turns
from app.web.schemas.v1.response_text import TextOptions
from app.web.schemas.v1.response_tools import ToolChoice, Tools, describe_tools, to_chat_choice, to_chat_tools

_SEND_ALL = "nothing is stored, so send the whole conversation as input"
_LOGPROBS = "message.output_text.logprobs"
_USE_PROMPT_NAME = "use promptName"

Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]


def _check_included(names: list[str]) -> list[str]:
    if _LOGPROBS in names:
        raise ValueError(f"{_LOGPROBS} is not supported here")
    return names


# All other values are about hosted tools and reasoning.
Include = Annotated[list[str], Field(max_length=100), AfterValidator(_check_included)]


class ReasoningOptions(OpenAIModel):
    """How much the model reasons. Other options are ignored, as the reasoning is not shown."""

    effort: ReasoningEffort | None = None
    summary: Any = None
    generate_summary: Any = None
    context: Any = None
    mode: Annotated[Any, only("standard")] = None


class StreamOptions(OpenAIModel):
    """Options of a stream: padding."""

    include_obfuscation: bool | None = None


class ResponsesRequest(PromptFields, OpenAIModel):
    """OpenAI's complete request. Parameters of type Any are ignored, or accept `only` the supported values.

    OpenAI's SDKs send the fields that OpenAI does not have by `extra_body`.
    """

    input: Input
    instructions: SystemText | None = None
    model: ModelName | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    max_output_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    service_tier: ServiceTier | None = None

    tools: Tools | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None

    store: Annotated[Any, only(False, instead="nothing is stored")] = None
    background: Annotated[Any, only(False)] = None
    previous_response_id: Annotated[Any, only(instead=_SEND_ALL)] = None
    conversation: Annotated[Any, only(instead=_SEND_ALL)] = None
    prompt: Annotated[Any, only(instead=_USE_PROMPT_NAME)] = None
    top_logprobs: Annotated[Any, only(0)] = None
    moderation: Annotated[Any, only()] = None
    access_programs: Annotated[Any, only()] = None
    context_management: Annotated[Any, only()] = None

    metadata: Metadata | None = None
    truncation: Literal["auto", "disabled"] | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    include: Include | None = None
    image: Any = None
    user: Any = None  # the credential identifies the user
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None

    cache: bool | None = None
    resumable: bool | None = None

    @property
    def may_be_padded(self) -> bool:
        """Whether the events of a stream may have a padding field."""
        return self.stream_options is None or self.stream_options.include_obfuscation is not False

    @property
    def requests_reasoning(self) -> bool:
        """Whether the client will return the reasoning items, since it expects that the server stores nothing.

        Other clients may send references to the items of an answer instead of the items. The AI SDK does, even to
        a text after reasoning.
        """
        return self.store is False or ENCRYPTED_REASONING in (self.include or ())

    @property
    def items(self) -> list[dict[str, Any]]:
        """The input as items."""
        if isinstance(self.input, str):
            return [{"role": "user", "content": self.input}]
        return self.input  # type: ignore[return-value]

    def to_call(
        self,
        prompts: PromptSelection,
        media: MediaIntake,
        *,
        request_id: str,
        server_tools: OfferedTools | None = None,
        hosted_tools: HostedToolSettings,
    ) -> ChatCall:
        """Build the call to the service. Args and Raises are those of ChatRequest.to_call().

        `hosted_tools` are the settings of the hosted tools that may be used.
        """
        self._check()
        computers = read_computer_tools(self.tools or (), hosted_tools)
        has_computer = has_computer_calls(self.items, hosted_tools) or bool(computers)
        self._prepare_media(media, prompts)
        prompt, text = prompts.select(self), self.text or TextOptions()
        hosted = read_hosted_tools(
            self.tools or (), hosted_tools, max_calls=self.max_tool_calls, include=self.include or ()
        )
        check_read_images(hosted, self.items)
        chat_tools = to_chat_tools(self.tools or (), computers)
        tools, hosted, choice = choose_tools(self.tool_choice, chat_tools, hosted)
        settings = {
            # SDKs always send a model, so a stored prompt's model overrides it.
            "model": None if prompts.overrides("model", prompt) else self.model,
            "max_tokens": self.max_output_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "reasoning_effort": self.reasoning.effort if self.reasoning is not None else None,
            "verbosity": text.verbosity,
            "service_tier": self.service_tier,
            "tools": tools,
            "tool_choice": to_chat_choice(choice, tools or (), hosted),
            "parallel_tool_calls": self.parallel_tool_calls if tools or hosted else None,
            "hosted": hosted,
            "has_computer": has_computer or None,
            "response_format": read_response_format(text.to_response_format()),
            "may_be_cached": bool(self.cache),
        }
        conversation = Conversation(
            to_turns(self.items), request_id, client_prompt=self.instructions or None, adjusted=media.adjusted
        )
        return build_chat_call(conversation, settings, self, prompts, server_tools)

    def describe(self, call: ChatCall) -> dict[str, Any]:
        """Return the parameters that a response repeats: those of the request, and none of a stored prompt."""
        text = self.text or TextOptions()
        tools = describe_tools(call.tools or (), self.tools or ())
        return {
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "max_tool_calls": call.hosted and call.hosted.max_calls,
            "metadata": self.metadata or {},
            "parallel_tool_calls": self.parallel_tool_calls is not False,
            "reasoning": {"effort": self.reasoning.effort if self.reasoning else None, "summary": None},
            "temperature": 1.0 if self.temperature is None else self.temperature,
            "text": text.describe(),
            "tool_choice": self.tool_choice or "auto",
            "tools": [*tools, *describe_hosted_tools(call.hosted)],
            "top_logprobs": 0,
            "top_p": 1.0 if self.top_p is None else self.top_p,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "truncation": "auto" if call.has_computer else self.truncation or "disabled",
            "prompt_cache_key": None,
            "safety_identifier": None,
        }

    def _check(self) -> None:
        if self.stream_options is not None and not self.stream:
            raise InvalidRequest("needs stream to be true.", field="stream_options")
        if self.resumable and not self.stream:
            raise InvalidRequest("only a stream can be resumed.", field="resumable")

    def _prepare_media(self, media: MediaIntake, prompts: PromptSelection) -> None:
        """Replace the images and files of the items in place. Raises the errors of MediaIntake.prepare()."""
        conversation = ConversationRequest.model_construct(
            messages=self.items, prompt_name=self.prompt_name, variables=self.variables
        )
        media.prepare(conversation, "chat", self.model, prompts, self._name_part)

    def _name_part(self, index: int, number: int, kind: str) -> str:
        item_type = self.items[index].get("type", "message")
        if item_type == "computer_call_output":
            return f"input.{index}.output.image_url"
        if item_type == IMAGE_ITEM:
            return f"input.{index}.result"
        return f"input.{index}.{'content' if item_type == 'message' else 'output'}.{number}.{kind}"
