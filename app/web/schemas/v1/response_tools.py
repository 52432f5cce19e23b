"""Define the tools of /v1/responses, which has functions flat, and turn them into the form of OpenAI's chat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict

from app.json_schema.strict_rules import find_problems
from app.problems import InvalidRequest
from app.web.schemas.fields import Name
from app.web.schemas.tools import MAX_TOOLS, Parameters
from app.web.schemas.v1.response_items import refuse_type
from app.web.schemas.validation import AS_OTHER, AS_TEXT, get_union_tag

_STRICT = ConfigDict(extra="forbid", strict=True)


class FunctionTool(TypedDict):
    """A function that the client runs."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["function"]
    name: Name
    description: NotRequired[Annotated[str, Field(max_length=10_000)] | None]
    parameters: NotRequired[Parameters | None]
    strict: NotRequired[bool | None]


class NamedFunction(TypedDict):
    """A tool choice that names one function."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["function"]
    name: Name


def _check_type(tool: Any) -> Any:
    if isinstance(tool, dict) and (kind := tool.get("type", "function")) != "function":
        raise ValueError(refuse_type(kind, "only functions are"))
    return tool


Tools = Annotated[
    list[Annotated[FunctionTool, BeforeValidator(_check_type)]], Field(max_length=MAX_TOOLS, fail_fast=True)
]
ToolChoice = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag(AS_TEXT)]
    | Annotated[NamedFunction, BeforeValidator(_check_type), Tag(AS_OTHER)],
    Discriminator(get_union_tag),
]


def to_chat_tools(tools: Sequence[FunctionTool]) -> list[dict[str, Any]] | None:
    """Return the tools in the form of OpenAI's chat; None if there are none."""
    return [{"type": "function", "function": _to_function(tool)} for tool in tools] or None


def _to_function(tool: FunctionTool) -> dict[str, Any]:
    given = {name: tool.get(name) for name in ("name", "description", "parameters")}
    function = {name: value for name, value in given.items() if value is not None}
    return {**function, "strict": _is_strict(tool)}


def _is_strict(tool: FunctionTool) -> bool:
    """Return whether the arguments must match: as asked for, else if the parameters are such that they can."""
    strict, parameters = tool.get("strict"), tool.get("parameters")
    if strict is not None:
        return strict
    return parameters is not None and not find_problems(parameters)


def to_chat_choice(
    choice: str | NamedFunction | None, tools: Sequence[FunctionTool]
) -> str | dict[str, Any] | None:
    """Return the choice in the form of OpenAI's chat; None if it says nothing, as without tools.

    Raises:
        InvalidRequest: it needs a tool that is not given.
    """
    if choice is not None and not isinstance(choice, str):
        if choice["name"] not in [tool["name"] for tool in tools]:
            raise InvalidRequest("names a function that is not among the tools.", field="tool_choice")
        return {"type": "function", "function": {"name": choice["name"]}}
    if choice == "required" and not tools:
        raise InvalidRequest("needs tools.", field="tool_choice")
    return choice if tools else None


def describe_tools(tools: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return tools in the form of OpenAI's chat as a response repeats them, each with all fields."""
    return [
        {
            "type": "function",
            "name": tool["function"]["name"],
            "description": tool["function"].get("description"),
            "parameters": tool["function"].get("parameters"),
            "strict": tool["function"]["strict"],
        }
        for tool in tools
    ]
