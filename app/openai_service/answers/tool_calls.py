"""ToolCalls: the tool calls of an answer, however a server spells them.

OpenAI numbers its calls, gives each an id, and writes the arguments as JSON in a string. Compatible servers put all
calls at index 0, leave the index or the id out, and write the arguments as an object, as null or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.openai_service.answers.text import repair_surrogates
from app.openai_service.errors import UpstreamFailed
from app.openai_service.streaming.events import ToolCallDelta, ToolCallObject

_MAX_CALLS = 1_000


@dataclass(slots=True)
class _Call:
    position: int
    given_id: str
    """By the server; often empty."""
    id: str
    """The id of our answer, unique among its calls."""
    type: str = "function"
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    half: str = ""
    """The first half of a letter with which the last piece ended, if it did."""

    @property
    def arguments(self) -> str:
        """The JSON so far, which is read often only for calls that are hard to tell apart."""
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""

    def join(self, piece: str) -> str:
        """Return what can be said now: a letter that is split over two pieces comes with the second."""
        text = self.half + piece
        self.half = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        said: str = repair_surrogates(text.removesuffix(self.half))
        return said

    @property
    def is_whole(self) -> bool:
        """Whether the arguments are complete."""
        if not self.pieces or not self.pieces[-1].rstrip().endswith(("}", "]")):
            return False
        try:
            orjson.loads(self.arguments)
        except orjson.JSONDecodeError:
            return False
        return True


def find_tool_calls(message: Mapping[str, Any]) -> object:
    """Return the calls of a message or delta. Old servers have one, without an id, as a `function_call`."""
    if calls := message.get("tool_calls"):
        return calls
    call = message.get("function_call")
    return [{"index": 0, "function": call}] if isinstance(call, dict) and call else None


class ToolCalls:
    """Collects the calls of one answer, from its message or from the deltas of its chunks."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._last_at: dict[int | str | None, _Call] = {}
        self._ids: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._calls)

    @classmethod
    def read(cls, calls: object) -> list[ToolCallObject]:
        """Return the calls of a complete message, in OpenAI's form. Raises as add() does."""
        collected = cls()
        collected.add_whole(calls)
        return collected.finish()

    def add_whole(self, calls: object) -> list[ToolCallDelta]:
        """Add all calls of a complete message, each at its place. Raises as add() does."""
        if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
            raise UpstreamFailed
        return self.add([{**call, "index": place} for place, call in enumerate(calls)])

    def add(self, deltas: object) -> list[ToolCallDelta]:
        """Add the pieces of calls in one chunk's `tool_calls`, and return what is new.

        Raises:
            UpstreamFailed: it is not a list of calls.
        """
        if not isinstance(deltas, list):
            raise UpstreamFailed
        in_this_chunk: set[int] = set()
        events = []
        for delta in deltas:
            if not isinstance(delta, dict):
                raise UpstreamFailed
            if (event := self._add_one(delta, in_this_chunk)) is not None:
                events.append(event)
        return events

    def finish(self) -> list[ToolCallObject]:
        """Return the complete calls in OpenAI's form; a call without arguments has those of `{}`.

        Raises:
            UpstreamFailed: a call has no name.
        """
        if not all(call.name for call in self._calls):
            raise UpstreamFailed
        return [
            {
                "id": call.id,
                "type": call.type,
                "function": {"name": call.name, "arguments": _complete(call)},
            }
            for call in self._calls
        ]

    def _add_one(self, delta: dict[str, Any], in_this_chunk: set[int]) -> ToolCallDelta | None:
        index, id_ = delta.get("index"), _read_id(delta.get("id"))
        type_, function, arguments = _read_called(delta)
        name = _read_text(function.get("name"))
        if not (id_ or name or arguments):
            return None  # some servers send empty calls along with text
        call = self._find_last(index, id_)
        is_new = call is None or (name and call.position in in_this_chunk) or _begins(call, id_, name, arguments)
        if call is None or is_new:
            call = self._begin(id_, type_)
        self._last_at[_key(index)] = self._last_at[None] = call
        in_this_chunk.add(call.position)
        new_name = "" if call.name else name
        call.name = call.name or name
        if isinstance(arguments, str):
            piece = arguments
        else:
            piece = "" if arguments is None or call.pieces else orjson.dumps(repair_surrogates(arguments)).decode()
        if piece:
            call.pieces.append(piece)
        return ToolCallDelta(call.position, call.id if is_new else "", new_name, call.join(piece), call.type)

    def _find_last(self, index: object, id_: str) -> _Call | None:
        """Return the last call at an index; without one, the call of this id, or the last of all."""
        if index is None and id_:
            for call in self._calls:
                if call.given_id == id_:
                    return call
        return self._last_at.get(_key(index))

    def _begin(self, given_id: str, type_: str) -> _Call:
        if len(self._calls) >= _MAX_CALLS:
            raise UpstreamFailed
        position = len(self._calls)
        id_, number = given_id, position
        while not id_ or id_ in self._ids:
            id_, number = f"call_{number}", number + 1
        self._ids.add(id_)
        call = _Call(position, given_id, id_, type_)
        self._calls.append(call)
        return call


def _begins(last: _Call, id_: str, name: str, arguments: object) -> bool:
    """Return whether a piece begins another call than the last one at its index."""
    if id_ and id_ == last.given_id:
        return bool(name and last.name) and name != last.name and last.is_whole
    if id_:
        # A new id is a new call, but some servers invent one for each piece of the arguments.
        is_piece = not name and bool(arguments) and not last.is_whole
        return not is_piece
    if not name or not last.name:
        return False
    if name != last.name:
        return True
    # Some servers repeat the name with each piece of the arguments, others leave out the ids of whole calls.
    if last.pieces:
        return arguments != "" and last.is_whole
    return arguments == "" or not isinstance(arguments, str)


def _read_called(delta: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], object]:
    """Return the type of a call, what has its name, and its arguments, or the text of a tool that takes no JSON."""
    custom, computer, function = delta.get("custom"), delta.get("computer"), delta.get("function")
    if isinstance(custom, dict):
        return "custom", custom, custom.get("input")
    if isinstance(computer, dict):
        return "computer", {"name": "computer"}, computer
    function = function if isinstance(function, dict) else {}
    return "function", function, function.get("arguments")


def read_arguments(call: Mapping[str, Any]) -> str:
    """Return what a call says: its arguments, its text, or the JSON of what a computer shall do."""
    if "function" in call:
        return str(call["function"]["arguments"])
    return (
        str(call["custom"]["input"])
        if "custom" in call
        else orjson.dumps(repair_surrogates(call["computer"])).decode()
    )


def _complete(call: _Call) -> str:
    arguments: str = repair_surrogates(call.arguments)
    return arguments if call.type == "custom" else _fill(arguments)


def _fill(arguments: str) -> str:
    """Return the arguments; `{}` for those that mean none, such as PHP's empty list."""
    return "{}" if arguments.strip() in ("", "null", "[]") else arguments


def _key(index: object) -> int | str | None:
    return index if isinstance(index, int | str) else None


def _read_id(value: object) -> str:
    """Return an id; none for a word that means none, as Mistral once wrote it."""
    id_ = str(value) if type(value) is int else _read_text(value).strip()
    return "" if id_.lower() in ("null", "none", "undefined") else id_


def _read_text(value: object) -> str:
    return repair_surrogates(value) if isinstance(value, str) else ""
