"""Define the `input` of /v1/responses: a text, or the items of a conversation, including earlier answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict

from app.openai_service import REASONING_ITEMS
from app.openai_service.responses.client_tools import CALL_TYPES, COMPUTER, CUSTOM
from app.openai_service.responses.generated_images import IMAGE_ITEM
from app.openai_service.responses.hosted_tools import HOSTED_ITEMS
from app.problems import InvalidRequest
from app.web.encoders.response_object import HOSTED_PREFIXES
from app.web.media.parts import JOINED_TEXT, Content, ToolOutput
from app.web.media.plain_texts import MAX_MESSAGES
from app.web.schemas.fields import NonEmptyText
from app.web.schemas.messages import build_turns
from app.web.schemas.v1.computer_use import ComputerCall, ComputerOutput
from app.web.schemas.v1.custom_tools import CustomCallItem
from app.web.schemas.v1.fields import SystemText
from app.web.schemas.v1.hosted_tools import MadeImage
from app.web.schemas.v1.refused_types import describe_refusal
from app.web.schemas.validation import AS_HOSTED, AS_OTHER, AS_TEXT, ITEM_TYPES, get_union_tag

_STRICT = ConfigDict(extra="forbid", strict=True)
_ROLES = ("assistant", "developer", "system", "user")
_REFERENCE = "item_reference"
_AS_IMAGE = "(as image)"
_RESULTS = {f"{kind}_output": kind for kind in CALL_TYPES}
# The id prefixes of items that are not sent to the model, nor references to them: reasoning, and hosted tools'
# calls.
_DROPPED = ("rs_", *[f"{prefix}_" for kind, prefix in HOSTED_PREFIXES.items() if kind != IMAGE_ITEM])
_INSTEAD = {
    _REFERENCE: "nothing is stored here, so send the item itself (AI SDK: providerOptions.openai.store = false)",
}

_CallId = Annotated[str, Field(min_length=1)]


class UserItem(TypedDict):
    """A turn of the user: a text, or a list of texts, images and files."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: NotRequired[Literal["message"]]
    role: Literal["user"]
    content: Content
    id: NotRequired[Any]
    status: NotRequired[Any]
    phase: NotRequired[Any]


class SystemItem(TypedDict):
    """A system or developer text."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: NotRequired[Literal["message"]]
    role: Literal["system", "developer"]
    content: SystemText
    id: NotRequired[Any]
    status: NotRequired[Any]
    phase: NotRequired[Any]


class AssistantItem(TypedDict):
    """A message of the model, as in the response."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: NotRequired[Literal["message"]]
    role: Literal["assistant"]
    content: Annotated[str, JOINED_TEXT]
    id: NotRequired[Any]
    status: NotRequired[Any]
    phase: NotRequired[Any]


class FunctionCallItem(TypedDict):
    """A function call by the model. The SDK's `parse()` adds the parsed arguments."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["function_call"]
    call_id: _CallId
    name: str
    arguments: str
    id: NotRequired[Any]
    status: NotRequired[Any]
    namespace: NotRequired[Any]
    caller: NotRequired[Any]
    is_async: NotRequired[Annotated[Any, Field(validation_alias="async")]]
    parsed_arguments: NotRequired[Any]


class FunctionCallOutputItem(TypedDict):
    """The result of one function call."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["function_call_output"]
    call_id: _CallId
    output: ToolOutput
    id: NotRequired[Any]
    status: NotRequired[Any]
    name: NotRequired[Any]
    namespace: NotRequired[Any]
    caller: NotRequired[Any]


class CustomCallOutputItem(FunctionCallOutputItem):
    """The result of one custom tool call."""

    type: Literal["custom_tool_call_output"]  # type: ignore[misc]


class ReasoningItem(TypedDict):
    """The model's reasoning for an earlier answer. It is sent to the model if this server sealed it."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["reasoning"]
    id: NotRequired[Any]
    summary: NotRequired[Any]
    content: NotRequired[Any]
    encrypted_content: NotRequired[Any]
    status: NotRequired[Any]


class HostedItem(TypedDict):
    """The call of a hosted tool in an earlier answer, or a reference to one or to reasoning.

    It is not sent to the model, as the answer contains the results. The model reasons again where reasoning is
    missing.
    """

    __pydantic_config__ = ConfigDict(extra="ignore", strict=True)  # type: ignore[misc]

    type: Literal[
        "web_search_call",
        "code_interpreter_call",
        "file_search_call",
        "mcp_call",
        "mcp_list_tools",
        "item_reference",
    ]


def _drop_item(item: HostedItem) -> dict[str, Any]:
    return {"type": item["type"]}


def _strip_reasoning(item: ReasoningItem) -> dict[str, Any]:
    """Return the type and the sealed reasoning of the item, without its summary and ids, which are not used."""
    return {"type": item["type"], "encrypted_content": item.get("encrypted_content")}


def _to_result(item: FunctionCallOutputItem) -> dict[str, Any]:
    """Return the item with its output in `content`, as in messages."""
    return {"type": item["type"], "call_id": item["call_id"], "content": item["output"]}


def _check_type(item: Any) -> Any:
    if not isinstance(item, dict):
        raise ValueError("must be an object")
    kind = item.get("type", "message")
    if kind == "message":
        if item.get("role") not in _ROLES:
            raise ValueError(f"role must be one of {', '.join(_ROLES)}")
    elif kind not in ITEM_TYPES and kind not in tuple(HOSTED_ITEMS) and not _refers_to_dropped(item):
        raise ValueError(describe_refusal(kind, _INSTEAD.get(str(kind), f"it must be message or {_LISTED}")))
    return item


_LISTED = " or ".join(ITEM_TYPES)


def _get_tag(item: Any) -> str:
    tag: str = item["role"] if item.get("type", "message") == "message" else item["type"]
    if tag == IMAGE_ITEM:
        return _AS_IMAGE
    return AS_HOSTED if tag in HOSTED_ITEMS or tag == _REFERENCE else tag


def _refers_to_dropped(item: dict[str, Any]) -> bool:
    return item["type"] == _REFERENCE and str(item.get("id")).startswith(_DROPPED)


_Item = Annotated[
    Annotated[UserItem, Tag("user")]
    | Annotated[AssistantItem, Tag("assistant")]
    | Annotated[SystemItem, Tag("system")]
    | Annotated[SystemItem, Tag("developer")]
    | Annotated[FunctionCallItem, Tag("function_call")]
    | Annotated[FunctionCallOutputItem, AfterValidator(_to_result), Tag("function_call_output")]
    | Annotated[CustomCallItem, Tag("custom_tool_call")]
    | Annotated[CustomCallOutputItem, AfterValidator(_to_result), Tag("custom_tool_call_output")]
    | Annotated[ComputerCall, Tag("computer_call")]
    | Annotated[ComputerOutput, Tag("computer_call_output")]
    | Annotated[ReasoningItem, AfterValidator(_strip_reasoning), Tag("reasoning")]
    | Annotated[MadeImage, Tag(_AS_IMAGE)]
    | Annotated[HostedItem, AfterValidator(_drop_item), Tag(AS_HOSTED)],
    Discriminator(_get_tag),
    BeforeValidator(_check_type),
]
Items = Annotated[list[_Item], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
Input = Annotated[
    Annotated[NonEmptyText, Tag(AS_TEXT)] | Annotated[Items, Tag(AS_OTHER)], Discriminator(get_union_tag)
]
"""A text of the user, or items."""


def to_turns(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the turns in the form of chat completions: consecutive calls are one turn, with the text before them.

    Raises:
        InvalidRequest: there is no turn, or a result belongs to no earlier call.
    """
    turns: list[dict[str, Any]] = []
    calls: dict[str, tuple[str, int]] = {}
    """The type and the index of each call, by its id."""
    reasoning: list[dict[str, Any]] = []
    """The reasoning before the next call."""
    for index, item in enumerate(items):
        kind = item.get("type", "message")
        if kind == "message":
            _add_message(turns, item)
            reasoning = reasoning if item["role"] == "assistant" else []
        elif kind == IMAGE_ITEM and "content" in item:
            turns.append({"role": "user", "content": item["content"]})
        elif kind == "reasoning":
            # Reasoning between two calls, or after the last one, belongs to the same turn.
            is_in_turn = bool(turns) and "tool_calls" in turns[-1]
            (turns[-1].setdefault(REASONING_ITEMS, []) if is_in_turn else reasoning).extend(
                item.get(REASONING_ITEMS, ())
            )
        elif kind in CALL_TYPES:
            calls[item["call_id"]] = kind, index
            _add_call(turns, item)
            turns[-1].setdefault(REASONING_ITEMS, []).extend(reasoning)
            reasoning = []
        elif kind in _RESULTS:
            answered, _ = calls.get(item["call_id"], (None, 0))
            if answered != _RESULTS[kind]:
                raise InvalidRequest(
                    f"is not the id of an earlier {_RESULTS[kind]}.", field=f"input.{index}.call_id"
                )
            turns.append(_build_result(item))
    _check_computer_calls(calls, turns)
    if not (built := build_turns(turns)):
        raise InvalidRequest("must have a message.", field="input")
    return built


def _add_message(turns: list[dict[str, Any]], item: dict[str, Any]) -> None:
    if item["role"] == "assistant" and turns and "tool_calls" in turns[-1]:
        # A text between calls and their results belongs to the turn of the calls.
        texts = (turns[-1]["content"], item["content"])
        turns[-1]["content"] = "\n\n".join(filter(None, texts)) or None
    else:
        turns.append({"role": item["role"], "content": item["content"]})


def _add_call(turns: list[dict[str, Any]], item: dict[str, Any]) -> None:
    if not turns or turns[-1]["role"] != "assistant":
        turns.append({"role": "assistant", "content": None})
    turns[-1].setdefault("tool_calls", []).append(_build_call(item))


def _build_call(item: dict[str, Any]) -> dict[str, Any]:
    if item["type"] == "computer_call":
        return {"id": item["call_id"], "type": COMPUTER, COMPUTER: item[COMPUTER]}
    if item["type"] == "custom_tool_call":
        custom = {"name": item["name"], "input": item["input"]}
        return {"id": item["call_id"], "type": CUSTOM, CUSTOM: custom}
    function = {"name": item["name"], "arguments": item["arguments"]}
    return {"id": item["call_id"], "type": "function", "function": function}


def _build_result(item: dict[str, Any]) -> dict[str, Any]:
    result = {"role": "tool", "tool_call_id": item["call_id"], "content": item["content"]}
    if checks := item.get("acknowledged_safety_checks"):
        result["acknowledged_safety_checks"] = checks
    return result


def _check_computer_calls(calls: Mapping[str, tuple[str, int]], turns: Sequence[dict[str, Any]]) -> None:
    """Raise InvalidRequest if a computer call has no screenshot.

    No other result can replace it, so OpenAI refuses it too.
    """
    answered = {turn["tool_call_id"] for turn in turns if turn["role"] == "tool"}
    for id_, (kind, index) in calls.items():
        if kind == "computer_call" and id_ not in answered:
            raise InvalidRequest("has no computer_call_output after it.", field=f"input.{index}.call_id")
