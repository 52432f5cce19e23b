"""The events of a streamed answer. The encoders in app/web/encoders write them in a wire format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from app.models.token_counts import Usage
from app.models.token_counts.estimates import weigh_text

ToolCallObject = dict[str, Any]
"""A tool call in OpenAI's form: {"id", "type", "function": {"name", "arguments"}}.

Its type is "function", "custom" for a free text instead of arguments, or "computer" for the JSON of what that shall do."""


class Token(NamedTuple):
    """A piece of the answer's text."""

    text: str


class Reasoning(NamedTuple):
    """A piece of the model's reasoning, from servers that stream it."""

    text: str


class Thought(NamedTuple):
    """What the model reasoned before what follows, for the next turn to bring back: entries as in `ChatResult.reasoning_items`."""

    items: Sequence[dict[str, Any]]


class Refusal(NamedTuple):
    """A piece of the text in which the model refuses to answer."""

    text: str


class ToolCallDelta(NamedTuple):
    """A piece of the tool call at a position: `id` and `name` are sent once, `arguments` in fragments; `type` as of the whole."""

    position: int
    id: str
    name: str
    arguments: str
    type: str = "function"


class ToolRun(NamedTuple):
    """The state of a server tool's call; sent when the call starts and when it ends.

    Attributes:
        id: of the tool call.
        name: of the tool.
        status: running, done or failed.
        ms: the duration; None while it is running.
    """

    id: str
    name: str
    status: str
    ms: int | None


class HostedStep(NamedTuple):
    """A step of a tool that runs at OpenAI.

    Attributes:
        position: of its item among those of hosted tools.
        kind: "added" or "done", or the type of an event of /responses.
        fields: the item; or what the event tells, without its place.
    """

    position: int
    kind: str
    fields: dict[str, Any]


class Annotation(NamedTuple):
    """A note on the text so far, such as the source of a sentence, in the form of /responses."""

    fields: dict[str, Any]


class PartialParsed(NamedTuple):
    """The structured value so far. After a repair the value starts again from nothing."""

    data: Any


class Parsed(NamedTuple):
    """The complete structured value, valid against the schema. Done follows in the same list."""

    data: Any


class Done(NamedTuple):
    """The end of a complete answer.

    Attributes:
        finish_reason: stop, length, content_filter or tool_calls.
        usage: of the whole call; None if the upstream reported none.
        model: that answered.
        id: of the answer; over /responses it is not the upstream's.
        tool_calls: all of the answer's tool calls, complete.
        trimmed: the number of messages that were left out because the conversation was too long.
        is_cached: whether the answer comes from the cache.
        reasoning_items: as in ChatResult.
    """

    finish_reason: str
    usage: Usage | None
    model: str
    id: str
    tool_calls: list[ToolCallObject]
    trimmed: int = 0
    is_cached: bool = False
    reasoning_items: Sequence[dict[str, Any]] = ()


class Failed(NamedTuple):
    """The end of a stream that failed."""

    error: Exception


_Tool = ToolCallDelta | ToolRun | HostedStep
_TEXTS = (Token, Reasoning, Refusal)
Event = Token | Reasoning | Thought | Refusal | Annotation | _Tool | PartialParsed | Parsed | Done | Failed

Events = list[Event]
"""Events that arrived together. Empty at a tick, or if the data contained no event."""


def estimate_texts(texts: Iterable[str]) -> float:
    """Return an estimate of the tokens of pieces of text that the model wrote."""
    return sum([max(weigh_text(text), 1) for text in texts])


def estimate_tokens(events: Events) -> float:
    """Return an estimate of the tokens of what the model wrote: the text counts, as a chunk may have many."""
    tokens = 0.0
    for event in events:
        if isinstance(event, _TEXTS):  # a tuple: to join types by "|" takes longer than all the rest
            tokens += weight if (weight := weigh_text(event.text)) > 1 else 1
        elif isinstance(event, ToolCallDelta):
            tokens += weight if (weight := weigh_text(event.name + event.arguments)) > 1 else 1
        elif isinstance(event, HostedStep):
            tokens += weigh_text(str(event.fields.get("delta") or ""))
    return tokens
