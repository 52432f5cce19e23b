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
from app.web.schemas.sealed_reasoning import SealItems, build_reasoning_item, seal_nothing

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
"""The prefixes of the ids of hosted tools' items, by type."""
_UNFINISHED = ("in_progress", "searching", "interpreting", "calling", "generating")

CALL_PREFIXES = {"function": "fc", "custom": "ctc", "computer": "cu"}
"""The prefixes of the ids of calls' items, by type."""
CALL_INPUTS = {
    "function": ("response.function_call_arguments", "arguments"),
    "custom": ("response.custom_tool_call_input", "input"),
}
"""The prefix of a call's event names and its streamed field, by type.

The call of a computer is not streamed in pieces.
"""


def find_incomplete_reason(finish_reason: str) -> str | None:
    """Return OpenAI's reason why an answer is incomplete; None if it is complete."""
    return _INCOMPLETE_REASONS.get(finish_reason)


@dataclass(frozen=True, slots=True)
class ResponseFrame:
    """The fields of a response that do not change while it is streamed.

    Attributes:
        request_id: the id of the request, from which the ids of the response and its items are derived.
        created_at: in seconds since 1970.
        described: the parameters of the request that the response repeats.
    """

    request_id: str
    created_at: int
    described: dict[str, Any]

    def name_item(self, kind: str, index: int) -> str:
        """Return the id of the item at an index of the output."""
        return f"{kind}_{self.request_id}_{index}"

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
        """Return OpenAI's `response` object, with all fields that its clients require."""
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
    """A message that is being streamed."""

    index: int
    id: str
    content: list[dict[str, Any]] = field(default_factory=list)
    """Its complete parts."""


@dataclass(slots=True)
class GrowingCall:
    """A call that is being streamed. Its index in the output is set once its name is known."""

    id: str = ""
    name: str = ""
    type: str = "function"
    index: int | None = None
    pending: list[str] = field(default_factory=list)
    """Arguments that arrived before the name."""
    sent: list[str] = field(default_factory=list)


@dataclass(slots=True)
class GrowingReasoning:
    """The model's reasoning that is being streamed.

    It is sent at once if the client requested it, otherwise before the next tool call.

    Attributes:
        seal: encrypts reasoning items.
        is_requested: whether the client requested reasoning.
        pending: the items that have not been sent.
        sent: the items that have been sent, by the index in the output.
    """

    seal: SealItems = seal_nothing
    is_requested: bool = False
    pending: list[dict[str, Any]] = field(default_factory=list)
    sent: dict[int, list[dict[str, Any]]] = field(default_factory=dict)

    def seal_pending(self, index: int) -> str | None:
        """Return the pending items, sealed, and record them as sent at an index; None if there are none."""
        items, self.pending = self.pending, []
        sealed = self.seal(items) if items else None
        if sealed is not None:
            self.sent[index] = items
        return sealed

    def reseal_sent(self, done: Done) -> Iterator[tuple[int, str]]:
        """Yield the index of sent items, and the items sealed again with their token counts from `done`.

        With the counts, the hold of the next turn is computed from tokens instead of bytes.
        """
        for index, sent in self.sent.items():
            known = [entry["item"] for entry in sent]
            items = [entry for entry in done.reasoning_items if entry["item"] in known]
            if items and (sealed := self.seal(items)) is not None:
                yield index, sealed


def build_response(
    frame: ResponseFrame,
    result: ChatResult,
    seal: SealItems = seal_nothing,
    *,
    is_reasoning_requested: bool = False,
) -> dict[str, Any]:
    """Return the response of a complete answer, with the model's reasoning, sealed.

    If the client requested reasoning, each item is where the model wrote it, otherwise right before its tool
    calls.
    """
    reason = find_incomplete_reason(result.finish_reason)
    status: Status = "incomplete" if reason else "completed"
    output: list[dict[str, Any]] = []
    reasoning = {at: [*entries] for at, entries in groupby(result.reasoning_items, itemgetter("at"))}

    def add_reasoning(until: float) -> None:
        items = [entry for at in [*reasoning] if at <= until for entry in reasoning.pop(at)]
        if items and (sealed := seal(items)) is not None:
            output.append(build_reasoning_item(frame.name_item("rs", len(output)), sealed))

    if is_reasoning_requested:
        add_reasoning(0)
    for item in result.hosted_items:
        output.append(build_hosted(frame, len(output), item))
    texts = [build_text(result.text, result.annotations)] if result.text or not result.refusal else []
    refusals = [build_refusal(result.refusal)] if result.refusal else []
    if result.text or result.refusal or not (result.tool_calls or result.hosted_items):
        output.append(build_message(frame.name_item("msg", len(output)), [*texts, *refusals], status))
    for at, call in enumerate(result.tool_calls, start=bool(result.text)):
        add_reasoning(at)
        output.append(build_call(frame, len(output), call, status))
    if is_reasoning_requested:
        add_reasoning(math.inf)
    tier = read_service_tier(result.record)
    return frame.build(status, result.model, output, usage=result.usage, tier=tier, incomplete_reason=reason)


def build_message(id_: str, content: Sequence[dict[str, Any]], status: Status) -> dict[str, Any]:
    """Return the item of a message."""
    return {"id": id_, "type": "message", "status": status, "role": "assistant", "content": content}


def build_call(frame: ResponseFrame, index: int, call: ToolCallObject, status: Status) -> dict[str, Any]:
    """Return the item of a tool call that the client runs."""
    kind, called = call["type"], call["function"]
    item = {"id": frame.name_item(CALL_PREFIXES[kind], index), "status": status, "call_id": call["id"]}
    if kind == "custom":
        return {**item, "type": "custom_tool_call", "name": called["name"], "input": called["arguments"]}
    if kind == "computer":
        fields = {"pending_safety_checks": [], **orjson.loads(called["arguments"])}
        return {**item, "type": "computer_call", **fields}
    return {**item, "type": "function_call", "name": called["name"], "arguments": called["arguments"]}


def build_hosted(frame: ResponseFrame, index: int, item: dict[str, Any]) -> dict[str, Any]:
    """Return the item of a hosted tool, with an id of this response."""
    kind = item["type"]
    return {**item, "id": frame.name_item(HOSTED_PREFIXES.get(kind, "item"), index)}


def fail_hosted(item: dict[str, Any]) -> dict[str, Any]:
    """Return the item of a hosted tool in a failed response, with the status `failed` if it had not finished."""
    return {**item, "status": "failed"} if item.get("status") in _UNFINISHED else item


def build_text(text: str, annotations: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Return the content part of a text."""
    return {"type": "output_text", "text": text, "annotations": list(annotations), "logprobs": []}


def build_refusal(text: str) -> dict[str, Any]:
    """Return the content part of a refusal."""
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
