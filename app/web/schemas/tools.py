"""Define the tools of a conversation: the client's tools in OpenAI's form, or server tools by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired, Protocol

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict

from app.json_schema.catalog import make_strict
from app.json_schema.normalize import MAX_STEPS
from app.json_schema.size import MAX_VALUES, is_larger
from app.json_schema.value_sets import WorkBudget
from app.openai_service import ServerTool
from app.web.schemas.fields import Name
from app.web.schemas.validation import AS_OTHER, AS_TEXT, check_depth, get_union_tag

MAX_TOOLS = 128

_STRICT = ConfigDict(extra="forbid", strict=True)


def _check_parameters(schema: dict[str, Any]) -> Any:
    if is_larger(schema, MAX_VALUES):
        raise ValueError(f"must have at most {MAX_VALUES} values")
    return check_depth(schema)


Parameters = Annotated[dict[str, Any], AfterValidator(_check_parameters)]
"""The JSON Schema of a function's arguments."""


class Function(TypedDict):
    """A function's declaration."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    name: Name
    description: NotRequired[Annotated[str, Field(max_length=10_000)]]
    parameters: NotRequired[Parameters]
    strict: NotRequired[bool | None]


class Tool(TypedDict):
    """A tool that the client runs."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["function"]
    function: Function


class NamedFunction(TypedDict):
    """The name of a function."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    name: Name


class NamedTool(TypedDict):
    """A tool choice that names one function."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["function"]
    function: NamedFunction


Tools = Annotated[list[Tool], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]
ServerToolNames = Annotated[list[Name], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]
ToolChoice = Annotated[
    Annotated[Literal["auto", "none", "required"], Tag(AS_TEXT)] | Annotated[NamedTool, Tag(AS_OTHER)],
    Discriminator(get_union_tag),
]


def make_strict_tools(tools: Sequence[Any]) -> list[Any]:
    """Return the tools, with the parameters of `strict` functions normalized to OpenAI's strict subset.

    Raises:
        InvalidSchema: parameters are outside of the subset, so that OpenAI would refuse them.
    """
    steps = WorkBudget(MAX_STEPS)
    made: list[Any] = []
    for number, tool in enumerate(tools):
        function = tool.get("function", {})
        if function.get("strict") and "parameters" in function:
            field = f"tools.{number}.function.parameters"
            parameters = make_strict(function["parameters"], field=field, steps=steps)
            made.append({**tool, "function": {**function, "parameters": parameters}})
        else:
            made.append(tool)
    return made


class OfferedTools(Protocol):
    """The server tools that one request may use."""

    def select(self, names: Sequence[str]) -> Sequence[ServerTool]:
        """Return the tools that a request names. Raises Forbidden or InvalidRequest."""

    def resolve(self, names: Sequence[str]) -> Sequence[ServerTool]:
        """Return the tools that a stored prompt names."""
