"""Define the tools of /v1/responses, which has functions flat, and turn them into the form of OpenAI's chat."""

from __future__ import annotations

from collections.abc import Sequence
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
from app.problems import InvalidRequest
from app.web.schemas.fields import Name
from app.web.schemas.tools import MAX_TOOLS, Parameters
from app.web.schemas.v1.allowed_tools import ALLOWED_TOOLS, AllowedOfResponses
from app.web.schemas.v1.fields import only
from app.web.schemas.v1.hosted_tools import HOSTED_TYPES, ONLY_FUNCTIONS, HostedTool, check_hosted_choice
from app.web.schemas.v1.refused_types import refuse_type
from app.web.schemas.validation import AS_HOSTED, AS_OTHER, AS_TEXT

_STRICT = ConfigDict(extra="forbid", strict=True)
_AS_ALLOWED = "(as allowed_tools)"


class FunctionTool(TypedDict):
    """A function that the client runs. What is for OpenAI's other ways to call one is taken where it says nothing."""

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
    """A tool choice that names one tool that runs at OpenAI; of an MCP server's, also which one."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["web_search", "web_search_2025_08_26", "code_interpreter", "file_search", "mcp"]
    server_label: NotRequired[Annotated[str, Field(max_length=64)]]
    name: NotRequired[Annotated[str, Field(max_length=256)] | None]


def _check_type(tool: Any) -> Any:
    if isinstance(tool, dict) and (kind := tool.get("type", "function")) not in ("function", *HOSTED_TYPES):
        raise ValueError(refuse_type(kind, ONLY_FUNCTIONS))
    return tool


def _check_choice(choice: Any) -> Any:
    return choice if _get_choice_tag(choice) == _AS_ALLOWED else _check_type(choice)


def _get_tag(tool: Any) -> str:
    return AS_HOSTED if isinstance(tool, dict) and tool.get("type") in HOSTED_TYPES else AS_OTHER


def _get_choice_tag(choice: Any) -> str:
    if isinstance(choice, dict) and choice.get("type") == ALLOWED_TOOLS:
        return _AS_ALLOWED
    return AS_TEXT if isinstance(choice, str) else _get_tag(choice)


class _DescribedAs:
    """Describe a value in the OpenAPI document as what it is validated as later."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(TypeAdapter(self._kind).core_schema)  # made for the document only: it takes 20 ms


# What is wrong with a hosted tool is told once it is known that it is allowed at all.
_HostedTool = Annotated[dict[str, Any], _DescribedAs(HostedTool)]
_Tool = Annotated[
    Annotated[FunctionTool, Tag(AS_OTHER)] | Annotated[_HostedTool, Tag(AS_HOSTED)],
    Discriminator(_get_tag),
    BeforeValidator(_check_type),
]
Tools = Annotated[list[_Tool], Field(max_length=MAX_TOOLS, fail_fast=True)]
ToolChoice = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag(AS_TEXT)]
    | Annotated[NamedFunction, Tag(AS_OTHER)]
    | Annotated[NamedHostedTool, Tag(AS_HOSTED)]
    | Annotated[AllowedOfResponses, Tag(_AS_ALLOWED)],
    Discriminator(_get_choice_tag),
    BeforeValidator(_check_choice),
]


def list_functions(tools: Sequence[Any]) -> list[FunctionTool]:
    """Return the tools that the client runs."""
    return [tool for tool in tools if tool.get("type") == "function"]


def to_chat_tools(tools: Sequence[Any]) -> list[dict[str, Any]] | None:
    """Return the functions among the tools in the form of OpenAI's chat; None if there are none.

    Raises:
        InvalidSchema: one must be strict, and its parameters are not within OpenAI's subset.
    """
    steps = WorkBudget(MAX_STEPS)
    return [
        {"type": "function", "function": _to_function(tool, f"tools.{number}.parameters", steps)}
        for number, tool in enumerate(tools)
        if tool.get("type") == "function"
    ] or None


def _to_function(tool: FunctionTool, field: str, steps: WorkBudget) -> dict[str, Any]:
    """Return a function, strict as asked for, else if its parameters are such that the arguments can match."""
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
    choice: str | NamedFunction | NamedHostedTool | None,
    tools: Sequence[FunctionTool],
    hosted: HostedTools | None = None,
) -> str | dict[str, Any] | None:
    """Return the choice in the form of OpenAI's chat; None if it says nothing, as without tools.

    Raises:
        InvalidRequest: it needs a tool that is not given.
    """
    if choice is not None and not isinstance(choice, str):
        if choice["type"] != "function":
            return check_hosted_choice(choice, hosted)
        if choice["name"] not in [tool["name"] for tool in tools]:
            raise InvalidRequest("names a function that is not among the tools.", field="tool_choice")
        return {"type": "function", "function": {"name": choice["name"]}}
    has_tools = bool(tools or hosted)
    if choice == "required" and not has_tools:
        raise InvalidRequest("needs tools.", field="tool_choice")
    return choice if has_tools else None


def describe_tools(given: Sequence[FunctionTool], sent: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the given tools as a response repeats them, each with all fields, and whether it was sent as strict."""
    return [
        {
            "type": "function",
            "name": tool["name"],
            "description": tool.get("description"),
            "parameters": tool.get("parameters"),
            "strict": chat_tool["function"]["strict"],
        }
        for tool, chat_tool in zip(given, sent, strict=True)
    ]
