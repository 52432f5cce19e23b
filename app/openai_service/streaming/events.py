"""What a streamed answer is made of. Encoders in app/wire turn these into a wire format."""

from __future__ import annotations

from typing import Any, NamedTuple

from app.token_counts import Usage

ToolCallObject = dict[str, Any]
"""One call of a tool, in OpenAI's form: {"id", "type": "function", "function": {"name", "arguments"}}."""


class Token(NamedTuple):
    """A piece of the answer's text."""

    text: str


class Reasoning(NamedTuple):
    """A piece of the model's reasoning, where a server shows it."""

    text: str


class Refusal(NamedTuple):
    """A piece of the text with which the model refuses."""

    text: str


class ToolCallDelta(NamedTuple):
    """A piece of the tool call at this position: `id` and `name` come once, `arguments` in fragments of JSON."""

    position: int
    id: str
    name: str
    arguments: str


class ToolRun(NamedTuple):
    """The call of a tool that this server runs: once as it begins, once more as it ends.

    Attributes:
        status: running, done or failed.
        ms: how long it took, in the end.
    """

    id: str
    name: str
    status: str
    ms: int | None


class PartialParsed(NamedTuple):
    """All of a value that has come so far, of an answer that fills a schema; the next one may begin anew."""

    data: Any


class Parsed(NamedTuple):
    """The whole value, which fits the schema. Done follows at once."""

    data: Any


class Done(NamedTuple):
    """The answer is complete. `trimmed` messages of the conversation were left out, as it was too long.

    Where it `is_cached`, it was given before.
    """

    finish_reason: str
    usage: Usage | None
    model: str
    id: str
    tool_calls: list[ToolCallObject]
    trimmed: int = 0
    is_cached: bool = False


class Failed(NamedTuple):
    """The stream broke after it had begun."""

    error: Exception


Event = Token | Reasoning | Refusal | ToolCallDelta | ToolRun | PartialParsed | Parsed | Done | Failed

Events = list[Event]
"""The events that arrived together; none where only time has passed, or what came has no meaning to us."""
