"""Define the tool choice `allowed_tools`: the subset of a request's tools that this answer may call.

Other tools are not sent to the model, which works with every upstream.
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
    """A list of functions, and whether one of them must be called."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    mode: Literal["auto", "required"]
    tools: Annotated[
        list[_Named],
        Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True),
    ]


class AllowedOfChat(TypedDict):
    """The choice in the form of chat completions."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["allowed_tools"]
    allowed_tools: AllowedFunctions


class AllowedOfResponses(TypedDict):
    """The choice in the form of the Responses API.

    A tool is identified by its type, and its name or label if any.
    """

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]


def choose_functions(choice: Any, tools: list[Any] | None) -> tuple[list[Any] | None, Any]:
    """Return the tools of a chat completion that may be called, and the tool choice.

    Raises:
        InvalidRequest: an allowed tool is not among the request's tools.
    """
    if not isinstance(choice, dict) or choice["type"] != ALLOWED_TOOLS:
        return tools, choice
    allowed = choice[ALLOWED_TOOLS]
    return _choose(allowed["tools"], tools or ()), allowed["mode"]


def choose_tools(
    choice: Any, tools: list[Any] | None, hosted: HostedTools | None
) -> tuple[list[Any] | None, HostedTools | None, Any]:
    """Return the client's tools that may be called, the hosted tools that may be called, and the tool choice.

    The client's tools are in the form of chat completions.

    Raises:
        InvalidRequest: an allowed tool is not among the request's tools.
    """
    if not isinstance(choice, dict) or choice["type"] != ALLOWED_TOOLS:
        return tools, hosted, choice
    others = hosted.tools if hosted is not None else ()
    chosen = _choose(choice["tools"], [*(tools or ()), *others])
    chosen_hosted = [tool for tool in chosen if tool["type"] not in CLIENT_TOOLS]
    return (
        [tool for tool in chosen if tool["type"] in CLIENT_TOOLS] or None,
        replace(hosted, tools=chosen_hosted) if hosted is not None and chosen_hosted else None,
        choice["mode"],
    )


def _choose(allowed: Sequence[Any], tools: Sequence[Any]) -> list[Any]:
    names = [_name_tool(tool) for tool in allowed]
    offered = [_name_tool(tool) for tool in tools]
    if not all(name in offered for name in names):
        raise InvalidRequest("names a tool that is not among the tools.", field="tool_choice")
    return [tool for tool, name in zip(tools, offered, strict=True) if name in names]


def _name_tool(tool: Any) -> tuple[object, object]:
    """Return what identifies a tool: its type, and its name or label, which chat completions nest in an object."""
    kind = tool.get("type", "function")
    nested = tool.get(kind) if isinstance(kind, str) else None
    named = nested if isinstance(nested, dict) else tool
    return kind, named.get("name") or named.get("server_label")
