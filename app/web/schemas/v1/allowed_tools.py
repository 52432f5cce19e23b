"""Define the tool choice `allowed_tools`: which of a request's tools this answer may call.

The others are left out of what is sent on, which every server understands.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from app.openai_service import HostedTools
from app.problems import InvalidRequest
from app.web.schemas.tools import MAX_TOOLS, NamedTool

ALLOWED_TOOLS = "allowed_tools"

_STRICT = ConfigDict(extra="forbid", strict=True)
_NOT_OFFERED = "names a tool that is not among the tools."


class AllowedFunctions(TypedDict):
    """Functions, and whether one of them must be called."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]


class AllowedOfChat(TypedDict):
    """The choice as OpenAI's chat has it."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["allowed_tools"]
    allowed_tools: AllowedFunctions


class AllowedOfResponses(TypedDict):
    """The choice as the Responses API has it. Each tool is named by its type, and by a name or label if it has one."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]


def choose_functions(choice: Any, tools: list[Any]) -> tuple[list[Any], Any]:
    """Return the tools of a chat that may be called, and the choice among them.

    Raises:
        InvalidRequest: a function is not among the tools.
    """
    if not isinstance(choice, dict) or choice["type"] != ALLOWED_TOOLS:
        return tools, choice
    allowed = choice[ALLOWED_TOOLS]
    names = [tool["function"]["name"] for tool in allowed["tools"]]
    offered = {tool["function"]["name"]: tool for tool in tools}
    _check_offered(names, offered)
    return [tool for name, tool in offered.items() if name in names], allowed["mode"]


def choose_tools(
    choice: Any, functions: Sequence[Any], hosted: HostedTools | None
) -> tuple[Sequence[Any], HostedTools | None, Any]:
    """Return the functions and the hosted tools of a response that may be called, and the choice among them.

    Raises:
        InvalidRequest: a tool is not among those of the request.
    """
    if not isinstance(choice, dict) or choice["type"] != ALLOWED_TOOLS:
        return functions, hosted, choice
    keys = [_name_tool(tool) for tool in choice["tools"]]
    others = hosted.tools if hosted is not None else ()
    _check_offered(keys, [_name_tool(tool) for tool in (*functions, *others)])
    kept = [tool for tool in others if _name_tool(tool) in keys]
    return (
        [tool for tool in functions if _name_tool(tool) in keys],
        replace(hosted, tools=kept) if hosted is not None and kept else None,
        choice["mode"],
    )


def _name_tool(tool: Any) -> tuple[object, object]:
    return tool.get("type", "function"), tool.get("name") or tool.get("server_label")


def _check_offered(names: Sequence[Any], offered: Collection[Any]) -> None:
    if not all(name in offered for name in names):
        raise InvalidRequest(_NOT_OFFERED, field="tool_choice")
