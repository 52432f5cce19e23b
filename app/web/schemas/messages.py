"""Define the messages of a conversation, and convert them to OpenAI's form.

Every answer of the API is a valid message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, NotRequired

import orjson
from pydantic import AliasChoices, ConfigDict, Field
from typing_extensions import TypedDict

from app.openai_service import REASONING_ITEMS
from app.problems import InvalidRequest
from app.safety.sealed_reasoning import MAX_SEALED_CHARS
from app.web.media.parts import JOINED_TEXT, JOINED_TEXT_OR_NULL, Content
from app.web.media.plain_texts import MAX_MESSAGES, TEXTS_FIRST, PlainTexts, are_plain_texts
from app.web.schemas.fields import JsonValue, NonEmptyText, PromptFields, Text

_NO_RESULT = "(no result)"

_STRICT = ConfigDict(extra="forbid", strict=True)


def _name_aliases(schema: dict[str, Any]) -> None:
    """Add OpenAI's names, which are accepted as aliases, to a JSON schema."""
    fields, required = schema["properties"], schema.get("required", [])
    for ours, theirs in (("toolCalls", "tool_calls"), ("toolCallId", "tool_call_id")):
        if ours not in fields:
            continue
        fields[theirs] = {**fields[ours], "title": theirs}
        if ours in required:
            required.remove(ours)
            schema["anyOf"] = [{"required": [ours]}, {"required": [theirs]}]


_ALIASED = ConfigDict(extra="forbid", strict=True, json_schema_extra=_name_aliases)

# Typed dicts instead of models: a long history is validated without running Python code, and is sent without
# converting it back to dicts.


class FunctionCall(TypedDict):
    """The name and the JSON arguments of a call, as the model wrote them.

    The SDK's `parse()` adds parsed arguments.
    """

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    name: str
    arguments: str
    parsed_arguments: NotRequired[Any]


class ToolCall(TypedDict):
    """A tool call by the model. If the client assembled it from a stream, it may have an index."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    id: Annotated[str, Field(min_length=1)]
    type: Literal["function"]
    function: FunctionCall
    index: NotRequired[Any]


class UserMessage(TypedDict):
    """A turn of the user: a text, or a list of texts and images."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    role: Literal["user"]
    content: Content


class SystemMessage(TypedDict):
    """A system or developer text."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    role: Literal["system", "developer"]
    content: Annotated[NonEmptyText, JOINED_TEXT]


class AssistantMessage(TypedDict):
    """A turn of the model: a text, tool calls, both or neither.

    OpenAI's field names and complete response bodies are accepted, including those of /v1 and of the SDK's
    helpers. Only the text, the tool calls and their reasoning are sent to the model.
    """

    __pydantic_config__ = _ALIASED  # type: ignore[misc]

    role: Literal["assistant"]
    content: NotRequired[Annotated[str | None, JOINED_TEXT_OR_NULL]]
    tool_calls: NotRequired[
        Annotated[
            list[ToolCall] | None,
            Field(validation_alias=AliasChoices("toolCalls", "tool_calls"), fail_fast=True),
        ]
    ]
    reply: NotRequired[str]
    refusal: NotRequired[str | None]
    data: NotRequired[JsonValue]
    text: NotRequired[Any]
    finish_reason: NotRequired[Annotated[Any, Field(validation_alias="finishReason")]]
    usage: NotRequired[Any]
    model: NotRequired[Any]
    id: NotRequired[Any]
    tool_runs: NotRequired[Annotated[Any, Field(validation_alias="toolRuns")]]
    trimmed: NotRequired[Any]
    cached: NotRequired[Any]
    normalized: NotRequired[Any]
    reasoning: NotRequired[Annotated[str, Field(max_length=MAX_SEALED_CHARS)] | None]
    function_call: NotRequired[None]
    audio: NotRequired[None]
    annotations: NotRequired[Any]
    parsed: NotRequired[Any]
    reasoning_content: NotRequired[Any]
    reasoning_details: NotRequired[Any]


class ToolMessage(TypedDict):
    """The result of one tool call."""

    __pydantic_config__ = _ALIASED  # type: ignore[misc]

    role: Literal["tool"]
    content: Annotated[Text, JOINED_TEXT]
    tool_call_id: Annotated[str, Field(validation_alias=AliasChoices("toolCallId", "tool_call_id"))]


Message = Annotated[UserMessage | AssistantMessage | ToolMessage | SystemMessage, Field(discriminator="role")]


Messages = Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True), TEXTS_FIRST]


class ConversationRequest(PromptFields):
    """A body with a conversation, which may have images."""

    takes_reasoning: ClassVar[bool] = True
    """Whether `reasoning` of a message is this server's sealed reasoning; if not, it is ignored."""

    messages: Messages | None = None


def build_turns(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages in OpenAI's form, with a result right after each tool call, as OpenAI requires.

    Empty system texts are omitted.

    Raises:
        InvalidRequest: a tool result belongs to no earlier call.
    """
    if isinstance(messages, PlainTexts) or are_plain_texts(messages):
        return list(messages)
    turns: list[dict[str, Any]] = []
    calls: set[str] = set()
    open_calls: dict[str, None] = {}
    late: dict[str, list[dict[str, Any]]] = {}
    for message in reversed(messages):
        if message["role"] == "tool":
            late.setdefault(message["tool_call_id"], []).append(message)
    moved: set[int] = set()
    for index, message in enumerate(messages):
        role = message["role"]
        if role == "tool":
            if message["tool_call_id"] not in calls:
                raise InvalidRequest(
                    "is not the id of an earlier tool call.", field=f"messages.{index}.toolCallId"
                )
            late[message["tool_call_id"]].pop()
            if id(message) in moved:
                continue
            open_calls.pop(message["tool_call_id"], None)
        elif open_calls:
            results = _find_results(open_calls, late)
            moved.update(map(id, results))
            turns += results
            open_calls = {}
        if role == "assistant":
            is_plain = len(message) == 2 and message.get("content")  # most are, so this saves a call for each
            turn = message if is_plain else _restore_answer(message)
        elif role in ("user", "tool"):
            turn = message
        elif message["content"]:  # `developer` has the same meaning, and many servers accept only `system`
            turn = {**message, "role": "system"}
        else:
            continue
        if "tool_calls" in turn:
            open_calls = {call["id"]: None for call in turn["tool_calls"]}
            calls.update(open_calls)
        turns.append(turn)
    return turns + _find_results(open_calls, late)


def _find_results(calls: Iterable[str], late: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the results of calls that were not answered at once: a later result, or a text that there is none."""
    return [
        late[id_][-1] if late.get(id_) else {"role": "tool", "tool_call_id": id_, "content": _NO_RESULT}
        for id_ in calls
    ]


def _restore_answer(message: dict[str, Any]) -> dict[str, Any]:
    """Return an assistant turn with its text, its tool calls and their reasoning.

    An empty turn (all tokens were reasoning, a filter, a stop before the first token) gets an empty text. OpenAI
    refuses null there, and without the turn two user turns would follow each other.
    """
    text = message.get("content") or message.get("reply") or message.get("refusal") or ""
    if not text and message.get("data") is not None:
        text = orjson.dumps(message["data"]).decode()
    if calls := message.get("tool_calls"):
        turn = {"role": "assistant", "content": text or None, "tool_calls": [strip_call(call) for call in calls]}
        if reasoning := message.get(REASONING_ITEMS):
            turn[REASONING_ITEMS] = reasoning
        return turn
    return {"role": "assistant", "content": text}


def strip_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool call without the fields that only SDKs add."""
    if "function" not in call:
        kind = call["type"]
        return {"id": call["id"], "type": kind, kind: call[kind]}
    function = call["function"]
    stripped = {"name": function["name"], "arguments": function["arguments"]}
    return {"id": call["id"], "type": "function", "function": stripped}
