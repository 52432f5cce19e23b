"""Define the messages of a conversation; validated, they are in OpenAI's form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AliasChoices, ConfigDict, Field
from typing_extensions import TypedDict

from app.problems import InvalidRequest
from app.web.schemas.fields import Name, NonEmptyText, Text

MAX_MESSAGES = 2_000

_STRICT = ConfigDict(extra="forbid", strict=True)
_CallId = Annotated[str, Field(min_length=1, max_length=200)]

# Typed dicts instead of models: a long history is validated without running Python code, and is sent without
# converting it back to dicts.


class FunctionCall(TypedDict):
    """The name and the JSON arguments of a call."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    name: Name
    arguments: Text


class ToolCall(TypedDict):
    """A tool call by the model, as returned in `toolCalls`."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    id: _CallId
    type: Literal["function"]
    function: FunctionCall


class UserMessage(TypedDict):
    """A turn of the user."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    role: Literal["user"]
    content: NonEmptyText


class SystemMessage(TypedDict):
    """A system or developer text."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    role: Literal["system"]
    content: NonEmptyText


class AssistantMessage(TypedDict):
    """A turn of the model: a text, tool calls, or both. OpenAI's spelling is accepted too."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    role: Literal["assistant"]
    content: NotRequired[Text | None]
    tool_calls: NotRequired[
        Annotated[
            list[ToolCall],
            Field(
                validation_alias=AliasChoices("toolCalls", "tool_calls"),
                min_length=1,
                max_length=128,
                fail_fast=True,
            ),
        ]
    ]


class ToolMessage(TypedDict):
    """The result of one tool call."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    role: Literal["tool"]
    content: Text
    tool_call_id: Annotated[_CallId, Field(validation_alias=AliasChoices("toolCallId", "tool_call_id"))]


Message = Annotated[UserMessage | AssistantMessage | ToolMessage | SystemMessage, Field(discriminator="role")]

Messages = Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]


def check_turns(messages: Sequence[dict[str, Any]]) -> None:
    """Check the rules between messages, which the upstream would otherwise refuse.

    Raises:
        InvalidRequest: an assistant turn is empty, or a tool result belongs to no earlier call.
    """
    calls: set[str] = set()
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            if "tool_calls" in message:
                calls.update(call["id"] for call in message["tool_calls"])
            elif not message.get("content"):
                raise InvalidRequest("must not be empty.", field=f"messages.{index}.content")
        elif message["role"] == "tool" and message["tool_call_id"] not in calls:
            raise InvalidRequest("answers no tool call before it.", field=f"messages.{index}.toolCallId")
