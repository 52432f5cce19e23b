"""Define the tool choice `allowed_tools`: which of a request's tools this answer may call.

The others are left out of what is sent on, which every server understands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict

from app.openai_service import HostedTools
from app.openai_service.responses.client_tools import CLIENT_TOOLS
from app.problems import InvalidRequest
from app.web.schemas.tools import MAX_TOOLS, NamedTool
from app.web.schemas.v1.custom_tools import AS_CUSTOM, NamedCustom, get_tool_tag
from app.web.schemas.validation import AS_OTHER

ALLOWED_TOOLS = "allowed_tools"

_STRICT = ConfigDict(extra="forbid", strict=True)


_Named = Annotated[
    Annotated[NamedTool, Tag(AS_OTHER)] | Annotated[NamedCustom, Tag(AS_CUSTOM)], Discriminator(get_tool_tag)
]


class AllowedFunctions(TypedDict):
    """Functions, and whether one of them must be called."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    mode: Literal["auto", "required"]
    tools: Annotated[
        list[_Named],
        Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True),
    ]


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


def choose_functions(choice: Any, tools: list[Any] | None) -> tuple[list[Any] | None, Any]:
    """Return the tools of a chat that may be called, and the choice among them.

    Raises:
        InvalidRequest: one is not among the tools.
    """
    if not isinstance(choice, dict) or choice["type"] != ALLOWED_TOOLS:
        return tools, choice
    allowed = choice[ALLOWED_TOOLS]
    return _choose(allowed["tools"], tools or ()), allowed["mode"]


def choose_tools(
    choice: Any, tools: list[Any] | None, hosted: HostedTools | None
) -> tuple[list[Any] | None, HostedTools | None, Any]:
    """Return the tools of the client, in the form of a chat, and the hosted tools that may be called, and the choice among them.

    Raises:
        InvalidRequest: a tool is not among those of the request.
    """
    if not isinstance(choice, dict) or choice["type"] != ALLOWED_TOOLS:
        return tools, hosted, choice
    others = hosted.tools if hosted is not None else ()
    chosen = _choose(choice["tools"], [*(tools or ()), *others])
    kept = [tool for tool in chosen if tool["type"] not in CLIENT_TOOLS]
    return (
        [tool for tool in chosen if tool["type"] in CLIENT_TOOLS] or None,
        replace(hosted, tools=kept) if hosted is not None and kept else None,
        choice["mode"],
    )


def _choose(allowed: Sequence[Any], tools: Sequence[Any]) -> list[Any]:
    names = [_name_tool(tool) for tool in allowed]
    offered = [_name_tool(tool) for tool in tools]
    if not all(name in offered for name in names):
        raise InvalidRequest("names a tool that is not among the tools.", field="tool_choice")
    return [tool for tool, name in zip(tools, offered, strict=True) if name in names]


def _name_tool(tool: Any) -> tuple[object, object]:
    """Return what tells a tool apart: its type, and its name or label. Of the client's the two APIs have it in two places."""
    kind = tool.get("type", "function")
    nested = tool.get(kind) if isinstance(kind, str) else None
    named = nested if isinstance(nested, dict) else tool
    return kind, named.get("name") or named.get("server_label")
