"""Define OpenAI's messages of a conversation: those that its SDKs send, and answers that clients send back."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict

from app.problems import InvalidRequest
from app.web.media.parts import JOINED_TEXT, JOINED_TEXT_OR_NULL, Content
from app.web.media.plain_texts import MAX_MESSAGES, TEXTS_FIRST, PlainTexts
from app.web.schemas.fields import Text
from app.web.schemas.messages import FunctionCall, ToolCall, strip_call
from app.web.schemas.v1.custom_tools import AS_CUSTOM, CustomCall, get_tool_tag
from app.web.schemas.v1.fields import SystemText
from app.web.schemas.validation import AS_OTHER

_STRICT = ConfigDict(extra="forbid", strict=True)

_AnyCall = Annotated[
    Annotated[ToolCall, Tag(AS_OTHER)] | Annotated[CustomCall, Tag(AS_CUSTOM)], Discriminator(get_tool_tag)
]
_ParticipantName = Annotated[str, Field(min_length=1, max_length=64)]


class UserMessage(TypedDict):
    """A turn of the user: a text, or a list of texts and images."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    role: Literal["user"]
    content: Content
    name: NotRequired[_ParticipantName | None]


class SystemMessage(TypedDict):
    """A system or developer text."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    role: Literal["system", "developer"]
    content: SystemText
    name: NotRequired[_ParticipantName | None]


class AssistantMessage(TypedDict):
    """A turn of the model. Only its text and its tool calls are sent to the model."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    role: Literal["assistant"]
    content: NotRequired[Annotated[str | None, JOINED_TEXT_OR_NULL]]
    refusal: NotRequired[str | None]
    tool_calls: NotRequired[Annotated[list[_AnyCall] | None, Field(fail_fast=True)]]
    name: NotRequired[_ParticipantName | None]
    function_call: NotRequired[FunctionCall | None]
    audio: NotRequired[None]
    annotations: NotRequired[Any]
    parsed: NotRequired[Any]
    reasoning_content: NotRequired[Any]
    reasoning: NotRequired[Any]
    reasoning_details: NotRequired[Any]


class ToolMessage(TypedDict):
    """The result of one tool call. Some clients add the name of the tool, which is ignored, as the call has it."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    role: Literal["tool"]
    content: Annotated[Text, JOINED_TEXT]
    tool_call_id: str
    name: NotRequired[Any]


class FunctionMessage(TypedDict):
    """The result of a function call, in the form that OpenAI had before tools."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    role: Literal["function"]
    content: Annotated[Text | None, JOINED_TEXT_OR_NULL]
    name: _ParticipantName


_Message = Annotated[
    UserMessage | AssistantMessage | ToolMessage | FunctionMessage | SystemMessage, Field(discriminator="role")
]

Messages = Annotated[list[_Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True), TEXTS_FIRST]


def to_turns(messages: Messages) -> list[dict[str, Any]]:
    """Return the messages without fields that only SDKs add, and with function calls converted to tool calls.

    Raises:
        InvalidRequest: a function's result belongs to no earlier call.
    """
    if isinstance(messages, PlainTexts):
        return messages
    return _to_tools([_to_turn(dict(message)) for message in messages])


def _to_turn(message: dict[str, Any]) -> dict[str, Any]:
    if message["role"] == "tool" or message.get("name") is None:
        message.pop("name", None)
    if calls := message.get("tool_calls"):
        message["tool_calls"] = [strip_call(call) for call in calls]
    return message


def _to_tools(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Convert function calls and their results, which have a name but no id, to tool calls and results."""
    ids: dict[str, str] = {}
    for index, turn in enumerate(turns):
        if call := turn.pop("function_call", None):
            if not turn.get("tool_calls"):  # some libraries send both
                turn["tool_calls"] = [strip_call({"id": f"call_function_{index}", "function": call})]
            ids |= {call["function"]["name"]: call["id"] for call in turn["tool_calls"]}
        elif turn["role"] == "function":
            if (id_ := ids.get(turn["name"])) is None:
                raise InvalidRequest(
                    "is not the name of an earlier function call.", field=f"messages.{index}.name"
                )
            turns[index] = {"role": "tool", "tool_call_id": id_, "content": turn["content"] or ""}
    return turns
