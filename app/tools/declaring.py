"""Declare a function as a tool that the model can call: @tool."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from pydantic_core import to_json

from app.config.formats import NAME_PATTERN
from app.json_schema.strict_rules import find_problems
from app.tools.context import ToolContext
from app.tools.docstrings import parse_arguments, parse_summary
from app.tools.parameters import InvalidTool, Parameters

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__gatehouse_tool__"
_MAX_DESCRIPTION = 1_024


@dataclass(frozen=True, slots=True, eq=False)
class DeclaredTool:
    """A function and its definition for the model.

    Attributes:
        definition: the definition in OpenAI's format.
        timeout_s: the timeout of one call. None means TOOL_TIMEOUT_S.
    """

    name: str
    function: Callable[..., Any]
    parameters: Parameters
    definition: dict[str, Any]
    timeout_s: float | None

    def run(self, arguments: str, context: ToolContext) -> str:
        """Call the function and return its result: a text unchanged, other values as JSON.

        Raises:
            ToolError: the arguments do not match the parameters, or the function raised it.
        """
        values = self.parameters.parse(arguments)
        if self.parameters.context is not None:
            values[self.parameters.context] = context
        result = self.function(**values)
        return result if isinstance(result, str) else to_json(result).decode()


@overload
def tool(function: F) -> F: ...
@overload
def tool(*, timeout_s: float) -> Callable[[F], F]: ...
def tool(function: F | None = None, *, timeout_s: float | None = None) -> F | Callable[[F], F]:
    """Declare a function in a file of TOOLS_DIR as a tool. The function itself does not change.

    The model sees its name, the first paragraph of its docstring, and its parameters with their types.

    Args:
        function: the function; None when the decorator is called with arguments.
        timeout_s: the timeout of one call. None means TOOL_TIMEOUT_S.

    Raises:
        InvalidTool: the function cannot be a tool.
    """

    def declare(function: F) -> F:
        setattr(function, _MARK, _declare(function, timeout_s))
        return function

    return declare if function is None else declare(function)


def find_tool(value: object) -> DeclaredTool | None:
    """Return the tool if the value is a function declared as one."""
    declared = getattr(value, _MARK, None) if inspect.isfunction(value) else None
    return declared if isinstance(declared, DeclaredTool) else None


def _declare(function: Callable[..., Any], timeout_s: float | None) -> DeclaredTool:
    name = function.__name__
    if not inspect.isfunction(function):
        raise InvalidTool(f"{name}: only a function can be a tool.")
    if problem := _find_problem(function, timeout_s):
        raise InvalidTool(f"{name}: {problem}.")
    docstring = inspect.getdoc(function) or ""
    parameters = Parameters(function, parse_arguments(docstring))
    definition: dict[str, Any] = {
        "name": name,
        "description": parse_summary(docstring),
        "parameters": parameters.schema,
    }
    if not find_problems(parameters.schema):
        definition["strict"] = True  # OpenAI then guarantees arguments that match the schema
    return DeclaredTool(name, function, parameters, {"type": "function", "function": definition}, timeout_s)


def _find_problem(function: Callable[..., Any], timeout_s: float | None) -> str | None:
    name = function.__name__
    description = parse_summary(inspect.getdoc(function) or "")
    if not re.fullmatch(NAME_PATTERN, name):
        return "a tool's name has 1 to 64 letters from A to Z, digits and underscores"
    if find_tool(function.__globals__.get(name)) is not None:
        return "this file has another tool with this name"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "a tool cannot be async; write it without async"
    if inspect.isgeneratorfunction(function):
        return "a tool cannot be a generator; return a list"
    if not description:
        return "it has no docstring, which describes it to the model"
    if len(description) > _MAX_DESCRIPTION:
        return f"the first paragraph of its docstring is longer than {_MAX_DESCRIPTION:,} characters"
    if timeout_s is not None and not 0 < timeout_s <= 86_400:
        return "timeout_s must be more than 0 and at most a day"
    return None
