"""The events of a streamed answer. The encoders in app/web/encoders write them in a wire format."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from app.models.token_counts import Usage
from app.models.token_counts.estimates import weigh_text
from app.models.token_counts.plain_pieces import PIECES, SHAPES

ToolCallObject = dict[str, Any]
"""A tool call in OpenAI's form: {"id", "type", "function": {"name", "arguments"}}.

The type is "function", "custom" or "computer". The `arguments` of a custom tool are its input text, those of a computer
the JSON of its actions.
"""


class Token(NamedTuple):
    """A piece of the answer's text."""

    text: str


class Reasoning(NamedTuple):
    """A piece of the model's reasoning, from servers that stream it."""

    text: str


class Thought(NamedTuple):
    """Reasoning items before the next event, to send back in the next turn; as in `ChatResult.reasoning_items`."""

    items: Sequence[dict[str, Any]]


class Refusal(NamedTuple):
    """A piece of the text in which the model refuses to answer."""

    text: str


class ToolCallDelta(NamedTuple):
    """A piece of the tool call at a position. `id` and `name` are sent once, `type` always, `arguments` in pieces."""

    position: int
    id: str
    name: str
    arguments: str
    type: str = "function"


class ToolRun(NamedTuple):
    """The state of a server tool's call, sent when the call starts and when it ends.

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
        position: of its item among the items of hosted tools.
        kind: "added" or "done", or the type of an event of /responses.
        fields: the item; or the event's fields, without those for its position.
    """

    position: int
    kind: str
    fields: dict[str, Any]


class Annotation(NamedTuple):
    """An annotation of the text so far, such as the source of a sentence, in the form of /responses."""

    fields: dict[str, Any]


class PartialParsed(NamedTuple):
    """The structured value so far. After a repair the value starts again empty."""

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
        id: of the answer; over /responses it differs from the upstream's id.
        tool_calls: all of the answer's tool calls, complete.
        trimmed: the number of messages that were dropped because the conversation was too long.
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
    """Return the estimated number of tokens in pieces of the model's text, at least one for each piece."""
    shapes = [(text, text.encode("utf-8", "surrogatepass").translate(SHAPES)) for text in texts]
    return sum([PIECES[shape] or max(weigh_text(text), 1) for text, shape in shapes])


def estimate_tokens(events: Events) -> float:
    """Return the estimated number of output tokens in events, by their text: one chunk may have many tokens."""
    tokens = 0.0
    for event in events:
        if isinstance(event, _TEXTS):  # a tuple: building a union with "|" takes longer than all the rest
            tokens += weight if (weight := weigh_text(event.text)) > 1 else 1
        elif isinstance(event, ToolCallDelta):
            tokens += weight if (weight := weigh_text(event.name + event.arguments)) > 1 else 1
        elif isinstance(event, HostedStep):
            tokens += weigh_text(str(event.fields.get("delta") or ""))
    return tokens
