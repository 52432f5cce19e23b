"""GrowingOutput: collects the output items of a stream, and returns the events for each piece of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.openai_service.answers.text import TextEvent, cut_surrogate, read_str
from app.openai_service.answers.tool_calls import read_arguments
from app.openai_service.errors import UpstreamFailed
from app.openai_service.responses.client_tools import CALL_TYPES, COMPUTER, INPUTS, read_call
from app.openai_service.responses.generated_images import IMAGE_ITEM, check_images
from app.openai_service.responses.hosted_tools import HOSTED_ITEMS, count_calls, hide_stored_ids
from app.openai_service.responses.output import COMMENTARY, Output, read_annotations, read_items, read_parts
from app.openai_service.responses.reasoning_items import build_reasoning_item, limit_reasoning_items
from app.openai_service.streaming.events import (
    Annotation,
    Events,
    HostedStep,
    Reasoning,
    Refusal,
    Thought,
    Token,
    ToolCallDelta,
)

_MAX_ITEMS = 2_000
_REASONING_KINDS = ("reasoning", COMMENTARY)
# The fields of an event that locate its item. The caller sees other positions, so they are removed.
_POSITION_FIELDS = {"type", "item_id", "output_index", "sequence_number", "obfuscation"}


@dataclass(slots=True)
class GrowingItem:
    """One output item.

    Attributes:
        kind: message, commentary, the type of a call, or any other type that the server sends.
        latest: the latest complete version of the item that the server sent.
        position: of a call, its index among the calls; of an item of a hosted tool, its index among those; of a
            reasoning item, the `at` of its ReasoningItem.
        arguments: the pieces of a call's arguments.
        surrogate: the high surrogate at the end of the last piece of arguments, if it ended with one.
        has_text: whether a piece of its text has arrived.
        annotated: the number of annotations of its text that have arrived.
        is_complete: whether the server has sent the complete item.
    """

    kind: str
    latest: Mapping[str, Any]
    position: int = 0
    arguments: list[str] = field(default_factory=list)
    surrogate: str = ""
    has_text: bool = False
    annotated: int = 0
    is_complete: bool = False


class GrowingOutput:
    """The items so far. They are found by id, or by index if the server changes ids between events."""

    def __init__(self, requested: str) -> None:
        """Create it for the answer of a requested model."""
        self._requested = requested
        self._by_id: dict[str, GrowingItem] = {}
        self._by_index: dict[int, GrowingItem] = {}
        self._items: list[GrowingItem] = []
        self._calls = 0
        self._hosted: list[GrowingItem] = []
        self._unsent: list[GrowingItem] = []
        """Reasoning and commentary items for which no event has been returned yet."""

    @property
    def hosted_calls(self) -> dict[str, int]:
        """The number of calls of hosted tools, by type."""
        return count_calls([item.latest for item in self._hosted])

    def begin(self, event: Mapping[str, Any]) -> Events:
        """Add a new item, unless it is already known."""
        item = _read_item(event)
        if self._find(item.get("id"), event.get("output_index")) is not None:
            return []
        return self._add(item, item.get("id"), event.get("output_index"))

    def find_message(self, event: Mapping[str, Any]) -> GrowingItem:
        """Return the item that a piece of text belongs to. An unknown item is added as a message."""
        found = self._find(event.get("item_id"), event.get("output_index"))
        if found is None:
            self._add({"type": "message"}, event.get("item_id"), event.get("output_index"))
            found = self._items[-1]
        return found

    def add_arguments(self, event: Mapping[str, Any]) -> Events:
        """Add a piece of a call's arguments. Ignore it for an unknown call, whose arguments complete() reads."""
        item = self._find(event.get("item_id"), event.get("output_index"))
        piece = event.get("delta")
        if item is None or item.kind not in INPUTS or not isinstance(piece, str):
            return []
        item.arguments.append(piece)
        text, item.surrogate = cut_surrogate(item.surrogate + piece)
        return [ToolCallDelta(item.position, "", "", text, CALL_TYPES[item.kind])]

    def add_step(self, kind: str, event: Mapping[str, Any]) -> Events:
        """Return the event for the progress of a hosted tool's call."""
        item = self._find(event.get("item_id"), event.get("output_index"))
        if item is None or item.kind not in HOSTED_ITEMS:
            return []
        fields = {name: value for name, value in event.items() if name not in _POSITION_FIELDS}
        return [HostedStep(item.position, kind, hide_stored_ids(fields))]

    def annotate(self, event: Mapping[str, Any]) -> Events:
        """Return the event for an annotation of the text so far."""
        item, annotation = self.find_message(event), event.get("annotation")
        if item.kind != "message" or not isinstance(annotation, dict):
            return []
        item.annotated += 1
        return [Annotation(hide_stored_ids(annotation))]

    def complete(self, event: Mapping[str, Any]) -> Events:
        """Store a complete item, and return events for those parts of it that no earlier event had."""
        events = self.begin(event)
        complete_item = _read_item(event)
        item = self._find(complete_item.get("id"), event.get("output_index"))
        if item is None or _get_kind(complete_item) != item.kind:
            return events
        item.latest = complete_item
        if item.kind in _REASONING_KINDS and not item.is_complete:
            item.is_complete = True
            self._unsent.append(item)
        if item.kind == "message" and not item.has_text:
            texts: list[TextEvent] = [
                *map(Token, read_parts(complete_item, "output_text", "text")),
                *map(Refusal, read_parts(complete_item, "refusal", "refusal")),
            ]
            events += [event for event in texts if event.text]
            item.has_text = bool(texts)
        if item.kind == "message":
            unsent = [*read_annotations(complete_item)][item.annotated :]
            item.annotated += len(unsent)
            events += map(Annotation, unsent)
        elif item.kind in HOSTED_ITEMS and not item.is_complete:
            item.is_complete = True
            if item.kind == IMAGE_ITEM:
                check_images([each.latest for each in self._hosted])
            events.append(HostedStep(item.position, "done", hide_stored_ids(complete_item)))
        elif item.kind in CALL_TYPES and not item.arguments and _has_arguments(complete_item, item.kind):
            arguments = read_arguments(read_call(complete_item))
            item.arguments.append(arguments)
            events.append(ToolCallDelta(item.position, "", "", arguments, CALL_TYPES[item.kind]))
        return events

    def prepend_reasoning(self, events: Events) -> Events:
        """Prepend a Thought with the unsent reasoning and commentary items to the events.

        It is not sent before other events arrive, since reasoning alone is not the start of an answer.
        """
        if not events or isinstance(events[0], Reasoning) or not self._unsent:
            return events
        entries = [build_reasoning_item(item.latest, self._requested, item.position) for item in self._unsent]
        self._unsent.clear()
        limited = limit_reasoning_items([entry for entry in entries if entry])
        return [Thought(limited), *events] if limited else events

    def finish(self) -> Output:
        """Return the output of all items together."""
        return read_items([_join_arguments(item) for item in self._items], self._requested)

    def _add(self, item: Mapping[str, Any], id_: object, index: object) -> Events:
        if len(self._items) >= _MAX_ITEMS:
            raise UpstreamFailed
        added = GrowingItem(_get_kind(item), item)
        self._items.append(added)
        if isinstance(id_, str):
            self._by_id[id_] = added
        if isinstance(index, int):
            self._by_index[index] = added
        if added.kind in HOSTED_ITEMS:
            added.position = len(self._hosted)
            self._hosted.append(added)
            return [HostedStep(added.position, "added", hide_stored_ids(item))]
        if added.kind in _REASONING_KINDS:
            added.position = self._calls + any(item.has_text for item in self._items if item.kind == "message")
        if added.kind not in CALL_TYPES:
            return []
        added.position = self._calls
        self._calls += 1
        kind, call_id = CALL_TYPES[added.kind], read_str(item.get("call_id"))
        name = COMPUTER if kind == COMPUTER else read_str(item.get("name"))
        return [ToolCallDelta(added.position, call_id, name, "", kind)]

    def _find(self, id_: object, index: object) -> GrowingItem | None:
        found = self._by_id.get(id_) if isinstance(id_, str) else None
        return found or (self._by_index.get(index) if isinstance(index, int) else None)


def make_text_event(item: GrowingItem, text: str) -> TextEvent:
    """Return a piece of an item's text as an event: Reasoning for commentary, otherwise Token."""
    return Reasoning(text) if item.kind == COMMENTARY else Token(text)


def _read_item(event: Mapping[str, Any]) -> Mapping[str, Any]:
    item = event.get("item")
    return item if isinstance(item, dict) else {}


def _join_arguments(item: GrowingItem) -> Mapping[str, Any]:
    """Return an item with its arguments joined from their pieces, unless the server sent them complete."""
    if item.kind not in INPUTS:
        return item.latest
    field = INPUTS[item.kind]
    return {**item.latest, field: item.latest.get(field) or "".join(item.arguments)}


def _has_arguments(call: Mapping[str, Any], kind: str) -> bool:
    """Return whether a complete item contains its arguments, as that of a computer call always does."""
    return kind not in INPUTS or isinstance(call.get(INPUTS[kind]), str)


def _get_kind(item: Mapping[str, Any]) -> str:
    if item.get("type") == "message" and item.get("phase") == COMMENTARY:
        return COMMENTARY
    return read_str(item.get("type"))
