"""Tools that run at OpenAI, such as web search: their settings in a request, and their calls in an answer.

Only /responses has them. An answer can contain ids of data stored at OpenAI. They are replaced by hashes, since the
real ids would give access to that data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.openai_service.errors import UpstreamRejected
from app.openai_service.responses.client_tools import CLIENT_TOOLS
from app.openai_service.responses.generated_images import IMAGE_ITEM, IMAGE_TOOL

MAX_CALLS = "max_tool_calls"
"""The field of a body with hosted tools that limits the number of calls in one answer."""

TOKENS_PER_CALL = 8_000
"""The approximate input tokens that one call adds. OpenAI bills small models this fixed number for each search."""

HOSTED_ITEMS = {
    "web_search_call": "web_search",
    "code_interpreter_call": "code_interpreter",
    "file_search_call": "file_search",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcp",
    IMAGE_ITEM: IMAGE_TOOL,
}
"""Maps the type of an output item to the type of the hosted tool."""

STEP_EVENTS = tuple(f"response.{item}" for item in HOSTED_ITEMS)
"""The prefixes of the events that report the progress of a call."""

_FREE_ACTIONS = ("open_page", "find_in_page")
# The fields with ids of data that OpenAI stores for the site, and the prefix of such an id.
_STORED_ID_PREFIXES = {"container_id": "cntr_", "file_id": "file-", "vector_store_id": "vs_"}


class HostedToolsUnavailable(UpstreamRejected):
    """The request has tools that only `/responses` supports, and the upstream does not have that endpoint."""

    field = "tools"
    sentence = "the upstream does not support this type of tool."

    def __init__(self) -> None:
        super().__init__()
        self.was_sent = False


@dataclass(frozen=True, slots=True)
class HostedTools:
    """The hosted tools of a request.

    Attributes:
        tools: in the form of /responses.
        max_calls: the maximum number of calls in one answer, of all tools together.
        include: additional data about the calls to request in the answer.
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
    """Return the number of calls that OpenAI bills for these items, by type of tool; for code it bills containers."""
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
    """Return an item or annotation whose ids of data at OpenAI are replaced by hashes, the same for the same id."""
    hidden = _hash_ids(item)
    for name in ("results", "outputs"):
        if isinstance(listed := hidden.get(name), list):
            hidden[name] = [_hash_ids(each) if isinstance(each, dict) else each for each in listed]
    return hidden


def _hash_ids(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _STORED_ID_PREFIXES[name] + hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:32]
        if name in _STORED_ID_PREFIXES and isinstance(value, str)
        else value
        for name, value in fields.items()
    }
