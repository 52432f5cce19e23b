"""GrowingOutput: the output items of a stream as they grow, and the events that each piece of them makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.openai_service.answers.text import TextEvent, repair_surrogates
from app.openai_service.answers.tool_calls import read_arguments
from app.openai_service.errors import UpstreamFailed
from app.openai_service.responses.client_tools import CALL_TYPES, COMPUTER, INPUTS, read_call
from app.openai_service.responses.hosted_tools import HOSTED_ITEMS, count_calls, hide_stored_ids
from app.openai_service.responses.kept_items import build_reasoning_item, limit_reasoning_items
from app.openai_service.responses.made_images import IMAGE_ITEM, check_images
from app.openai_service.responses.output import COMMENTARY, Output, read_annotations, read_items, read_parts
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
_KEPT = ("reasoning", COMMENTARY)
# What an event tells of the place of its item, which is another one for the caller.
_OF_PLACE = {"type", "item_id", "output_index", "sequence_number", "obfuscation"}


@dataclass(slots=True)
class GrowingItem:
    """One output item.

    Attributes:
        kind: message, commentary, the type of a call, or what else the server says.
        latest: the item as the server last told it whole.
        position: of a call among the calls; of an item of a hosted tool, among those; of what is kept, as in a ReasoningItem.
        arguments: of a call, in pieces.
        half: the first half of a letter with which the last piece of its arguments ended, if it did.
        has_text: whether a piece of its text has come.
        annotated: how many annotations of its text have come.
        is_complete: whether it has been told whole.
    """

    kind: str
    latest: Mapping[str, Any]
    position: int = 0
    arguments: list[str] = field(default_factory=list)
    half: str = ""
    has_text: bool = False
    annotated: int = 0
    is_complete: bool = False


class GrowingOutput:
    """Finds the item of each event by its id, or by its place if the server changes ids from event to event."""

    def __init__(self, requested: str) -> None:
        """Create it for the answer of a requested model."""
        self._requested = requested
        self._by_id: dict[str, GrowingItem] = {}
        self._by_place: dict[int, GrowingItem] = {}
        self._items: list[GrowingItem] = []
        self._calls = 0
        self._hosted: list[GrowingItem] = []
        self._untold: list[GrowingItem] = []
        """What is kept and was not told yet."""

    @property
    def hosted_calls(self) -> dict[str, int]:
        """The calls of tools that ran at the upstream, by type."""
        return count_calls([item.latest for item in self._hosted])

    def begin(self, event: Mapping[str, Any]) -> Events:
        """Take an item that begins, or one that has ended without having begun."""
        item = _read_item(event)
        if self._find(item.get("id"), event.get("output_index")) is not None:
            return []
        return self._add(item, item.get("id"), event.get("output_index"))

    def find_message(self, event: Mapping[str, Any]) -> GrowingItem:
        """Return the item that a piece of text belongs to. One that nothing is known of is the answer."""
        found = self._find(event.get("item_id"), event.get("output_index"))
        if found is None:
            self._add({"type": "message"}, event.get("item_id"), event.get("output_index"))
            found = self._items[-1]
        return found

    def add_arguments(self, event: Mapping[str, Any]) -> Events:
        """Take a piece of a call's arguments. Of a call that has not begun, the end will tell them whole."""
        item = self._find(event.get("item_id"), event.get("output_index"))
        piece = event.get("delta")
        if item is None or item.kind not in INPUTS or not isinstance(piece, str):
            return []
        item.arguments.append(piece)
        # A letter that is split over two pieces comes with the second.
        text = item.half + piece
        item.half = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        return [
            ToolCallDelta(
                item.position, "", "", repair_surrogates(text.removesuffix(item.half)), CALL_TYPES[item.kind]
            )
        ]

    def add_step(self, kind: str, event: Mapping[str, Any]) -> Events:
        """Take an event that tells how far the call of a hosted tool is."""
        item = self._find(event.get("item_id"), event.get("output_index"))
        if item is None or item.kind not in HOSTED_ITEMS:
            return []
        fields = {name: value for name, value in event.items() if name not in _OF_PLACE}
        return [HostedStep(item.position, kind, hide_stored_ids(fields))]

    def annotate(self, event: Mapping[str, Any]) -> Events:
        """Take an annotation on the text so far."""
        item, annotation = self.find_message(event), event.get("annotation")
        if item.kind != "message" or not isinstance(annotation, dict):
            return []
        item.annotated += 1
        return [Annotation(hide_stored_ids(annotation))]

    def complete(self, event: Mapping[str, Any]) -> Events:
        """Take an item as it is at its end, with what no event has told before."""
        events = self.begin(event)
        whole = _read_item(event)
        item = self._find(whole.get("id"), event.get("output_index"))
        if item is None or _name_kind(whole) != item.kind:
            return events
        item.latest = whole
        if item.kind in _KEPT and not item.is_complete:
            item.is_complete = True
            self._untold.append(item)
        if item.kind == "message" and not item.has_text:
            texts: list[TextEvent] = [
                *map(Token, read_parts(whole, "output_text", "text")),
                *map(Refusal, read_parts(whole, "refusal", "refusal")),
            ]
            events += [event for event in texts if event.text]
            item.has_text = bool(texts)
        if item.kind == "message":
            untold = [*read_annotations(whole)][item.annotated :]
            item.annotated += len(untold)
            events += map(Annotation, untold)
        elif item.kind in HOSTED_ITEMS and not item.is_complete:
            item.is_complete = True
            if item.kind == IMAGE_ITEM:
                check_images([each.latest for each in self._hosted])
            events.append(HostedStep(item.position, "done", hide_stored_ids(whole)))
        elif item.kind in CALL_TYPES and not item.arguments and _says(whole, item.kind):
            arguments = read_arguments(read_call(whole))
            item.arguments.append(arguments)
            events.append(ToolCallDelta(item.position, "", "", arguments, CALL_TYPES[item.kind]))
        return events

    def precede(self, events: Events) -> Events:
        """Return events after what the model reasoned, and said to itself, since that was last told.

        It is told with what follows, as thoughts alone begin no answer.
        """
        if not events or isinstance(events[0], Reasoning) or not self._untold:
            return events
        entries = [build_reasoning_item(item.latest, self._requested, item.position) for item in self._untold]
        self._untold.clear()
        kept = limit_reasoning_items([entry for entry in entries if entry])
        return [Thought(kept), *events] if kept else events

    def finish(self) -> Output:
        """Return what all items say together."""
        return read_items([_complete(item) for item in self._items], self._requested)

    def _add(self, item: Mapping[str, Any], id_: object, place: object) -> Events:
        if len(self._items) >= _MAX_ITEMS:
            raise UpstreamFailed
        added = GrowingItem(_name_kind(item), item)
        self._items.append(added)
        if isinstance(id_, str):
            self._by_id[id_] = added
        if isinstance(place, int):
            self._by_place[place] = added
        if added.kind in HOSTED_ITEMS:
            added.position = len(self._hosted)
            self._hosted.append(added)
            return [HostedStep(added.position, "added", hide_stored_ids(item))]
        if added.kind in _KEPT:
            added.position = self._calls + any(item.has_text for item in self._items if item.kind == "message")
        if added.kind not in CALL_TYPES:
            return []
        added.position = self._calls
        self._calls += 1
        kind, call_id = CALL_TYPES[added.kind], _read_text(item.get("call_id"))
        name = COMPUTER if kind == COMPUTER else _read_text(item.get("name"))
        return [ToolCallDelta(added.position, call_id, name, "", kind)]

    def _find(self, id_: object, place: object) -> GrowingItem | None:
        found = self._by_id.get(id_) if isinstance(id_, str) else None
        return found or (self._by_place.get(place) if isinstance(place, int) else None)


def make_text_event(item: GrowingItem, text: str) -> TextEvent:
    """Return a piece of an item's text as what it is: the answer, or what the model says while it is still at work."""
    return Reasoning(text) if item.kind == COMMENTARY else Token(text)


def _read_item(event: Mapping[str, Any]) -> Mapping[str, Any]:
    item = event.get("item")
    return item if isinstance(item, dict) else {}


def _complete(item: GrowingItem) -> Mapping[str, Any]:
    """Return an item with the pieces of its arguments, if the server has not told them whole."""
    if item.kind not in INPUTS:
        return item.latest
    field = INPUTS[item.kind]
    return {**item.latest, field: item.latest.get(field) or "".join(item.arguments)}


def _says(call: Mapping[str, Any], kind: str) -> bool:
    """Return whether a call tells its arguments: that of a computer always does."""
    return kind not in INPUTS or isinstance(call.get(INPUTS[kind]), str)


def _name_kind(item: Mapping[str, Any]) -> str:
    if item.get("type") == "message" and item.get("phase") == COMMENTARY:
        return COMMENTARY
    return _read_text(item.get("type"))


def _read_text(value: object) -> str:
    return value if isinstance(value, str) else ""
