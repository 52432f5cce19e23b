"""Build the objects of OpenAI's Responses API: the response, its output and its usage, complete or streamed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

import orjson

from app.models.token_counts import Usage
from app.openai_service import ChatResult, Done
from app.openai_service.streaming.events import ToolCallObject
from app.runtime import clock
from app.web.encoders.openai_sse import read_service_tier
from app.web.schemas.kept_reasoning import SealItems, build_reasoning_item, seal_nothing

Status = Literal["in_progress", "completed", "incomplete", "failed"]

_INCOMPLETE_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}

HOSTED_PREFIXES = {
    "web_search_call": "ws",
    "code_interpreter_call": "ci",
    "file_search_call": "fs",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcpl",
    "image_generation_call": "ig",
}
"""Begin the ids of the items of tools that run at OpenAI, by their type."""
_UNFINISHED = ("in_progress", "searching", "interpreting", "calling", "generating")

CALL_PREFIXES = {"function": "fc", "custom": "ctc", "computer": "cu"}
"""Begin the ids of the items of calls, by their type."""
CALL_INPUTS = {
    "function": ("response.function_call_arguments", "arguments"),
    "custom": ("response.custom_tool_call_input", "input"),
}
"""How the names of the events of a call begin, and the field that grows; that of a computer comes whole."""


def find_incomplete_reason(finish_reason: str) -> str | None:
    """Return OpenAI's word for why an answer is not complete; None if it is."""
    return _INCOMPLETE_REASONS.get(finish_reason)


@dataclass(frozen=True, slots=True)
class ResponseFrame:
    """What a response says from its begin to its end.

    Attributes:
        request_id: from which the ids are made.
        created_at: in seconds since 1970.
        described: what it repeats of its request.
    """

    request_id: str
    created_at: int
    described: dict[str, Any]

    def name_item(self, kind: str, place: int) -> str:
        """Return the id of an item of the output."""
        return f"{kind}_{self.request_id}_{place}"

    def build(
        self,
        status: Status,
        model: str,
        output: Sequence[dict[str, Any]] = (),
        *,
        usage: Usage | None = None,
        tier: str | None = None,
        incomplete_reason: str | None = None,
    ) -> dict[str, Any]:
        """Return OpenAI's `response`, with all fields that its readers need."""
        return {
            "id": f"resp_{self.request_id}",
            "object": "response",
            "created_at": self.created_at,
            "completed_at": int(clock.now()) if status == "completed" else None,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": incomplete_reason and {"reason": incomplete_reason},
            "model": model,
            "output": output,
            "usage": usage and _build_usage(usage),
            "service_tier": tier or "auto",
            "store": False,
            "previous_response_id": None,
            **self.described,
        }


@dataclass(slots=True)
class GrowingMessage:
    """A message that is being written."""

    place: int
    id: str
    content: list[dict[str, Any]] = field(default_factory=list)
    """Its complete parts."""


@dataclass(slots=True)
class GrowingCall:
    """A call that is being written. It has its place in the output once its name is known."""

    id: str = ""
    name: str = ""
    type: str = "function"
    place: int | None = None
    waiting: list[str] = field(default_factory=list)
    """Arguments that came before the name."""
    sent: list[str] = field(default_factory=list)


@dataclass(slots=True)
class GrowingThoughts:
    """What the model reasons while it answers: told at once where the client asked for it, else before the next call.

    Attributes:
        waiting: what has not been told.
        told: what was, by the place of its item.
    """

    seal: SealItems = seal_nothing
    is_asked_for: bool = False
    waiting: list[dict[str, Any]] = field(default_factory=list)
    told: dict[int, list[dict[str, Any]]] = field(default_factory=dict)

    def tell(self, place: int) -> str | None:
        """Return what waits, sealed, as the item at a place; None if there is nothing to tell."""
        items, self.waiting = self.waiting, []
        sealed = self.seal(items) if items else None
        if sealed is not None:
            self.told[place] = items
        return sealed

    def tell_again(self, done: Done) -> Iterator[tuple[int, str]]:
        """Yield the place of what was told, and it once more with its number of tokens, which the end tells.

        By them the next turn is held for, and not by its bytes.
        """
        for place, told in self.told.items():
            known = [entry["item"] for entry in told]
            items = [entry for entry in done.reasoning_items if entry["item"] in known]
            if items and (sealed := self.seal(items)) is not None:
                yield place, sealed


def build_response(
    frame: ResponseFrame,
    result: ChatResult,
    seal: SealItems = seal_nothing,
    *,
    thoughts_are_asked_for: bool = False,
) -> dict[str, Any]:
    """Return the response of a complete answer, with what the model reasoned, sealed.

    It is in its place where the client asked for it, else right before the calls that it belongs to.
    """
    reason = find_incomplete_reason(result.finish_reason)
    status: Status = "incomplete" if reason else "completed"
    output: list[dict[str, Any]] = []
    thoughts = {at: [*entries] for at, entries in groupby(result.reasoning_items, itemgetter("at"))}

    def add_thoughts(until: float) -> None:
        items = [entry for at in [*thoughts] if at <= until for entry in thoughts.pop(at)]
        if items and (sealed := seal(items)) is not None:
            output.append(build_reasoning_item(frame.name_item("rs", len(output)), sealed))

    if thoughts_are_asked_for:
        add_thoughts(0)
    for item in result.hosted_items:
        output.append(build_hosted(frame, len(output), item))
    texts = [build_text(result.text, result.annotations)] if result.text or not result.refusal else []
    refusals = [build_refusal(result.refusal)] if result.refusal else []
    if result.text or result.refusal or not (result.tool_calls or result.hosted_items):
        output.append(build_message(frame.name_item("msg", len(output)), [*texts, *refusals], status))
    for at, call in enumerate(result.tool_calls, start=bool(result.text)):
        add_thoughts(at)
        output.append(build_call(frame, len(output), call, status))
    if thoughts_are_asked_for:
        add_thoughts(math.inf)
    tier = read_service_tier(result.record)
    return frame.build(status, result.model, output, usage=result.usage, tier=tier, incomplete_reason=reason)


def build_message(id_: str, content: Sequence[dict[str, Any]], status: Status) -> dict[str, Any]:
    """Return the item of a text."""
    return {"id": id_, "type": "message", "status": status, "role": "assistant", "content": content}


def build_call(frame: ResponseFrame, place: int, call: ToolCallObject, status: Status) -> dict[str, Any]:
    """Return the item of a call of what the client runs."""
    kind, called = call["type"], call["function"]
    item = {"id": frame.name_item(CALL_PREFIXES[kind], place), "status": status, "call_id": call["id"]}
    if kind == "custom":
        return {**item, "type": "custom_tool_call", "name": called["name"], "input": called["arguments"]}
    if kind == "computer":
        told = {"pending_safety_checks": [], **orjson.loads(called["arguments"])}
        return {**item, "type": "computer_call", **told}
    return {**item, "type": "function_call", "name": called["name"], "arguments": called["arguments"]}


def build_hosted(frame: ResponseFrame, place: int, item: dict[str, Any]) -> dict[str, Any]:
    """Return the item of a tool that ran at OpenAI, with an id of ours."""
    kind = item["type"]
    return {**item, "id": frame.name_item(HOSTED_PREFIXES.get(kind, "item"), place)}


def fail_hosted(item: dict[str, Any]) -> dict[str, Any]:
    """Return the item of a tool that ran at OpenAI as it is if its answer broke off."""
    return {**item, "status": "failed"} if item.get("status") in _UNFINISHED else item


def build_text(text: str, annotations: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Return the part of a message that is its text."""
    return {"type": "output_text", "text": text, "annotations": list(annotations), "logprobs": []}


def build_refusal(text: str) -> dict[str, Any]:
    """Return the part of a message in which the model refuses."""
    return {"type": "refusal", "refusal": text}


def _build_usage(usage: Usage) -> dict[str, Any]:
    inputs, outputs = usage.prompt_tokens or 0, usage.completion_tokens or 0
    return {
        "input_tokens": inputs,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens or 0,
        },
        "output_tokens": outputs,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": inputs + outputs,
    }
