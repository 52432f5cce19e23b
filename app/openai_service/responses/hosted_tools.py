"""Tools that run at OpenAI, such as its web search: how a request offers them, and what an answer tells of their calls.

Only /responses has them. Everything that an answer names of what is kept at OpenAI is renamed: its own ids would open it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.openai_service.errors import UpstreamRejected
from app.openai_service.responses.client_tools import CLIENT_TOOLS
from app.openai_service.responses.made_images import IMAGE_ITEM, IMAGE_TOOL

MAX_CALLS = "max_tool_calls"
"""The field of a body that has hosted tools: how many calls one answer may make."""

TOKENS_PER_CALL = 8_000
"""What one call brings into the input, about. OpenAI bills its small models this many for a search, whatever it found."""

HOSTED_ITEMS = {
    "web_search_call": "web_search",
    "code_interpreter_call": "code_interpreter",
    "file_search_call": "file_search",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcp",
    IMAGE_ITEM: IMAGE_TOOL,
}
"""The output items of hosted tools, and the type of the tool."""

STEP_EVENTS = tuple(f"response.{item}" for item in HOSTED_ITEMS)
"""How the names of the events begin that tell how far a call is."""

_FREE_ACTIONS = ("open_page", "find_in_page")
# Of what OpenAI keeps for the site, by the prefix that such an id has.
_KEPT = {"container_id": "cntr_", "file_id": "file-", "vector_store_id": "vs_"}


class HostedToolsUnavailable(UpstreamRejected):
    """The request has tools that only `/responses` has, and the upstream has no such route."""

    field = "tools"
    sentence = "the model's server has no such tool."

    def __init__(self) -> None:
        super().__init__()
        self.was_sent = False


@dataclass(frozen=True, slots=True)
class HostedTools:
    """The hosted tools of a request.

    Attributes:
        tools: in the form of /responses.
        max_calls: how many calls one answer may make, of all of them together.
        include: what an answer shall tell of the calls beside the usual.
    """

    tools: Sequence[Mapping[str, Any]]
    max_calls: int
    include: Sequence[str] = ()


def list_hosted_tools(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the hosted tools of a body."""
    return (
        [tool for tool in body.get("tools") or () if tool["type"] not in CLIENT_TOOLS] if MAX_CALLS in body else []
    )


def count_calls(items: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return how many calls OpenAI bills for these items, by the type of the tool: of code, the containers that ran it."""
    counts: dict[str, int] = {}
    containers: set[str] = set()
    for item in items:
        kind = item.get("type")
        action = item.get("action")
        if isinstance(action, Mapping) and action.get("type") in _FREE_ACTIONS:
            continue
        if kind == "mcp_list_tools" or kind not in HOSTED_ITEMS:
            continue
        if kind == "code_interpreter_call":
            container = str(item.get("container_id"))
            if container in containers:
                continue
            containers.add(container)
        counts[HOSTED_ITEMS[kind]] = counts.get(HOSTED_ITEMS[kind], 0) + 1
    return counts


def hide_stored_ids(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item or an annotation with names of our own for what is kept at OpenAI, always the same ones."""
    hidden = _hide(item)
    for name in ("results", "outputs"):
        if isinstance(listed := hidden.get(name), list):
            hidden[name] = [_hide(each) if isinstance(each, dict) else each for each in listed]
    return hidden


def _hide(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _KEPT[name] + hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:32]
        if name in _KEPT and isinstance(value, str)
        else value
        for name, value in fields.items()
    }
