"""Define the tools of /v1/responses, and convert them to the form of chat completions, which has nested fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, GetJsonSchemaHandler, Tag, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import TypedDict

from app.json_schema.catalog import make_strict
from app.json_schema.normalize import MAX_STEPS
from app.json_schema.strict_rules import InvalidSchema
from app.json_schema.value_sets import WorkBudget
from app.openai_service import HostedTools
from app.openai_service.responses.client_tools import COMPUTER_TOOLS, flatten_tool
from app.problems import InvalidRequest
from app.web.schemas.fields import Name
from app.web.schemas.tools import MAX_TOOLS, Parameters
from app.web.schemas.v1.allowed_tools import ALLOWED_TOOLS, AllowedOfResponses
from app.web.schemas.v1.computer_use import ComputerTool, NamedComputer, check_computer_choice
from app.web.schemas.v1.custom_tools import (
    AS_CUSTOM,
    CUSTOM,
    CustomToolOfResponses,
    NamedCustomOfResponses,
    nest_custom,
)
from app.web.schemas.v1.fields import only
from app.web.schemas.v1.hosted_tools import HOSTED_TYPES, HostedTool, check_hosted_choice
from app.web.schemas.v1.refused_types import ACCEPTED_TOOLS, describe_refusal
from app.web.schemas.validation import AS_HOSTED, AS_OTHER, AS_TEXT

_STRICT = ConfigDict(extra="forbid", strict=True)
_AS_ALLOWED, _AS_COMPUTER = "(as allowed_tools)", "(as computer)"
_TAGS = {
    **dict.fromkeys(HOSTED_TYPES, AS_HOSTED),
    **dict.fromkeys(COMPUTER_TOOLS, _AS_COMPUTER),
    CUSTOM: AS_CUSTOM,
}
_COMPUTER_CHOICES = (*COMPUTER_TOOLS, "computer_use")


class FunctionTool(TypedDict):
    """A function that the client runs.

    Fields for OpenAI's other ways to call it are accepted with default values only.
    """

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["function"]
    name: Name
    description: NotRequired[Annotated[str, Field(max_length=10_000)] | None]
    parameters: NotRequired[Parameters | None]
    strict: NotRequired[bool | None]
    output_schema: NotRequired[Any]
    allowed_callers: NotRequired[Annotated[Any, only(["direct"])]]
    defer_loading: NotRequired[Annotated[Any, only(False)]]
    is_async: NotRequired[Annotated[Any, Field(validation_alias="async"), only(False)]]


class NamedFunction(TypedDict):
    """A tool choice that names one function."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["function"]
    name: Name


class NamedHostedTool(TypedDict):
    """A tool choice that names one hosted tool, and for an MCP server also its label and tool."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal[
        "web_search", "web_search_2025_08_26", "code_interpreter", "file_search", "mcp", "image_generation"
    ]
    server_label: NotRequired[Annotated[str, Field(max_length=64)]]
    name: NotRequired[Annotated[str, Field(max_length=256)] | None]


def _check_type(tool: Any) -> Any:
    if isinstance(tool, dict) and (kind := tool.get("type", "function")) != "function" and kind not in (*_TAGS,):
        raise ValueError(describe_refusal(kind, ACCEPTED_TOOLS))
    return tool


def _check_choice(choice: Any) -> Any:
    return choice if _get_choice_tag(choice) in (_AS_ALLOWED, _AS_COMPUTER) else _check_type(choice)


def _get_tag(tool: Any) -> str:
    return _TAGS.get(str(tool.get("type")), AS_OTHER) if isinstance(tool, dict) else AS_OTHER


def _get_choice_tag(choice: Any) -> str:
    if isinstance(choice, dict) and choice.get("type") == ALLOWED_TOOLS:
        return _AS_ALLOWED
    if isinstance(choice, dict) and choice.get("type") in _COMPUTER_CHOICES:
        return _AS_COMPUTER
    return AS_TEXT if isinstance(choice, str) else _get_tag(choice)


class _DescribedAs:
    """Describes a value in the OpenAPI document as the type against which it is validated later."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(TypeAdapter(self._kind).core_schema)  # only for the document, as it takes 20 ms


# Tools that need a permission in the settings are validated after that was checked, so that the permission is the
# first error to be reported.
_HostedTool = Annotated[dict[str, Any], _DescribedAs(HostedTool)]
_ComputerTool = Annotated[dict[str, Any], _DescribedAs(ComputerTool)]
_Tool = Annotated[
    Annotated[FunctionTool, Tag(AS_OTHER)]
    | Annotated[CustomToolOfResponses, Tag(AS_CUSTOM)]
    | Annotated[_ComputerTool, Tag(_AS_COMPUTER)]
    | Annotated[_HostedTool, Tag(AS_HOSTED)],
    Discriminator(_get_tag),
    BeforeValidator(_check_type),
]
Tools = Annotated[list[_Tool], Field(max_length=MAX_TOOLS, fail_fast=True)]
ToolChoice = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag(AS_TEXT)]
    | Annotated[NamedFunction, Tag(AS_OTHER)]
    | Annotated[NamedCustomOfResponses, Tag(AS_CUSTOM)]
    | Annotated[NamedComputer, Tag(_AS_COMPUTER)]
    | Annotated[NamedHostedTool, Tag(AS_HOSTED)]
    | Annotated[AllowedOfResponses, Tag(_AS_ALLOWED)],
    Discriminator(_get_choice_tag),
    BeforeValidator(_check_choice),
]


def to_chat_tools(tools: Sequence[Any], computers: Sequence[Any]) -> list[dict[str, Any]] | None:
    """Return the tools that the client runs, in the form of chat completions; None if there are none.

    Args:
        tools: all tools of the request.
        computers: the computer tools among them, which are allowed. Chat completions have no other form for them.

    Raises:
        InvalidSchema: a function is strict, and its parameters are outside of OpenAI's subset.
    """
    steps = WorkBudget(MAX_STEPS)
    made: list[dict[str, Any]] = []
    for number, tool in enumerate(tools):
        if tool.get("type") == "function":
            function = _to_function(tool, f"tools.{number}.parameters", steps)
            made.append({"type": "function", "function": function})
        elif tool.get("type") == CUSTOM:
            made.append(nest_custom(tool))
    return [*made, *computers] or None


def _to_function(tool: FunctionTool, field: str, steps: WorkBudget) -> dict[str, Any]:
    """Return a function.

    If the request does not set `strict`, it is strict if its parameters are in OpenAI's subset.
    """
    given = {name: tool.get(name) for name in ("name", "description", "parameters")}
    function: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    strict = tool.get("strict")
    if "parameters" in function and strict is not False:
        try:
            parameters = make_strict(function["parameters"], field=field, steps=steps)
        except InvalidSchema:
            if strict:
                raise
        else:
            return {**function, "parameters": parameters, "strict": True}
    return {**function, "strict": bool(strict)}


def to_chat_choice(
    choice: str | Mapping[str, Any] | None, tools: Sequence[Mapping[str, Any]], hosted: HostedTools | None = None
) -> str | dict[str, Any] | None:
    """Return the tool choice in the form of chat completions; None if there is none, or no tools.

    Args:
        choice: the request's choice, or the mode of its `allowed_tools`.
        tools: the tools that the client runs, in the form of chat completions.
        hosted: the hosted tools.

    Raises:
        InvalidRequest: the choice needs a tool that is not among the request's tools.
    """
    if choice is not None and not isinstance(choice, str):
        kind = choice["type"]
        if kind in _COMPUTER_CHOICES:
            return check_computer_choice(choice, [tool for tool in tools if tool["type"] in COMPUTER_TOOLS])
        if kind not in ("function", CUSTOM):
            return check_hosted_choice(choice, hosted)
        if choice["name"] not in [tool[kind]["name"] for tool in tools if tool["type"] == kind]:
            what = "a function" if kind == "function" else "a custom tool"
            raise InvalidRequest(f"names {what} that is not among the tools.", field="tool_choice")
        return {"type": kind, kind: {"name": choice["name"]}}
    has_tools = bool(tools or hosted)
    if choice == "required" and not has_tools:
        raise InvalidRequest("needs tools.", field="tool_choice")
    return choice if has_tools else None


def describe_tools(tools: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the client's tools as a response repeats them.

    Args:
        tools: the tools that were sent to the model, in the form of chat completions.
        given: the tools of the request, whose parameters are repeated unchanged.
    """
    functions = {tool["name"]: tool for tool in given if tool.get("type") == "function"}
    return [_describe(tool, functions) for tool in tools]


def _describe(tool: Mapping[str, Any], functions: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    if tool["type"] != "function":
        return flatten_tool(tool)
    name = tool["function"]["name"]
    return {
        "type": "function",
        "name": name,
        "description": functions[name].get("description"),
        "parameters": functions[name].get("parameters"),
        "strict": tool["function"]["strict"],
    }
