"""ToolCalls: collects the tool calls of an answer, in the variants that different servers send.

OpenAI gives each call an index and an id, and sends the arguments as JSON in a string. Some compatible servers put all
calls at index 0 or omit the index or the id. Some send the arguments as an object or as null, or omit them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.openai_service.answers.text import cut_surrogate, read_str, repair_surrogates
from app.openai_service.errors import UpstreamFailed
from app.openai_service.streaming.events import ToolCallDelta, ToolCallObject

_MAX_CALLS = 1_000


@dataclass(slots=True)
class _Call:
    position: int
    given_id: str
    """The id that the server sent; often empty."""
    id: str
    """The id in our answer, unique among its calls."""
    type: str = "function"
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    surrogate: str = ""
    """The high surrogate at the end of the last piece, if it ended with one."""

    @property
    def arguments(self) -> str:
        """The JSON so far. It is read often only for calls that are hard to distinguish."""
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""

    def take_piece(self, piece: str) -> str:
        """Return the piece to send. A high surrogate at its end is sent with the next piece."""
        text, self.surrogate = cut_surrogate(self.surrogate + piece)
        return text

    @property
    def has_complete_arguments(self) -> bool:
        """Whether the arguments are complete."""
        if not self.pieces or not self.pieces[-1].rstrip().endswith(("}", "]")):
            return False
        try:
            orjson.loads(self.arguments)
        except orjson.JSONDecodeError:
            return False
        return True


def find_tool_calls(message: Mapping[str, Any]) -> object:
    """Return the calls of a message or delta. Old servers send one call without an id, as `function_call`."""
    if calls := message.get("tool_calls"):
        return calls
    call = message.get("function_call")
    return [{"index": 0, "function": call}] if isinstance(call, dict) and call else None


class ToolCalls:
    """Collects the calls of one answer, from its message or from the deltas of its chunks."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._last_by_index: dict[int | str | None, _Call] = {}
        self._ids: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._calls)

    @classmethod
    def read(cls, calls: object) -> list[ToolCallObject]:
        """Return the calls of a complete message, in OpenAI's form. Raises the errors of add()."""
        collected = cls()
        collected.add_whole(calls)
        return collected.finish()

    def add_whole(self, calls: object) -> list[ToolCallDelta]:
        """Add all calls of a complete message, each at its index in the list. Raises the errors of add()."""
        if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
            raise UpstreamFailed
        return self.add([{**call, "index": index} for index, call in enumerate(calls)])

    def add(self, deltas: object) -> list[ToolCallDelta]:
        """Add the deltas of one chunk's `tool_calls`, and return an event for each that is not empty.

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
        """Return the complete calls in OpenAI's form; a call without arguments gets `{}`.

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
            return None  # some servers send empty calls together with text
        call = self._find_last(index, id_)
        is_new = (
            call is None or (name and call.position in in_this_chunk) or _starts_call(call, id_, name, arguments)
        )
        if call is None or is_new:
            call = self._start_call(id_, type_)
        self._last_by_index[_key(index)] = self._last_by_index[None] = call
        in_this_chunk.add(call.position)
        new_name = "" if call.name else name
        call.name = call.name or name
        if isinstance(arguments, str):
            piece = arguments
        else:
            piece = "" if arguments is None or call.pieces else orjson.dumps(repair_surrogates(arguments)).decode()
        if piece:
            call.pieces.append(piece)
        return ToolCallDelta(call.position, call.id if is_new else "", new_name, call.take_piece(piece), call.type)

    def _find_last(self, index: object, id_: str) -> _Call | None:
        """Return the last call at an index. Without an index, return the call with this id, or else the latest call."""
        if index is None and id_:
            for call in self._calls:
                if call.given_id == id_:
                    return call
        return self._last_by_index.get(_key(index))

    def _start_call(self, given_id: str, type_: str) -> _Call:
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


def _starts_call(last: _Call, id_: str, name: str, arguments: object) -> bool:
    """Return whether a delta starts a new call, rather than continues the last one at its index."""
    if id_ and id_ == last.given_id:
        return bool(name and last.name) and name != last.name and last.has_complete_arguments
    if id_:
        # A new id means a new call, but some servers make up an id for each piece of the arguments.
        is_piece = not name and bool(arguments) and not last.has_complete_arguments
        return not is_piece
    if not name or not last.name:
        return False
    if name != last.name:
        return True
    # Some servers repeat the name with each piece of the arguments; others omit the ids of complete calls.
    if last.pieces:
        return arguments != "" and last.has_complete_arguments
    return arguments == "" or not isinstance(arguments, str)


def _read_called(delta: Mapping[str, Any]) -> tuple[str, Mapping[str, Any], object]:
    """Return a call's type, the object with its name, and its arguments or the input text of a custom tool."""
    custom, computer, function = delta.get("custom"), delta.get("computer"), delta.get("function")
    if isinstance(custom, dict):
        return "custom", custom, custom.get("input")
    if isinstance(computer, dict):
        return "computer", {"name": "computer"}, computer
    function = function if isinstance(function, dict) else {}
    return "function", function, function.get("arguments")


def read_arguments(call: Mapping[str, Any]) -> str:
    """Return the arguments of a call as a string: of a custom tool its input, of a computer the JSON of its actions."""
    if "function" in call:
        return str(call["function"]["arguments"])
    return (
        str(call["custom"]["input"])
        if "custom" in call
        else orjson.dumps(repair_surrogates(call["computer"])).decode()
    )


def _complete(call: _Call) -> str:
    arguments: str = repair_surrogates(call.arguments)
    return arguments if call.type == "custom" else _fill_empty(arguments)


def _fill_empty(arguments: str) -> str:
    """Return the arguments; `{}` for an empty string, `null`, and `[]`, which is PHP's empty object."""
    return "{}" if arguments.strip() in ("", "null", "[]") else arguments


def _key(index: object) -> int | str | None:
    return index if isinstance(index, int | str) else None


def _read_id(value: object) -> str:
    """Return an id as text; an empty one for a word such as "null", which Mistral has sent."""
    id_ = str(value) if type(value) is int else _read_text(value).strip()
    return "" if id_.lower() in ("null", "none", "undefined") else id_


def _read_text(value: object) -> str:
    text: str = repair_surrogates(read_str(value))
    return text
