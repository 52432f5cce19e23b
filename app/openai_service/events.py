"""What a streamed answer is made of. Encoders in app/wire turn these into a wire format."""

from __future__ import annotations

from typing import Any, NamedTuple

Usage = dict[str, Any]
"""Token counts under OpenAI's own names: prompt_tokens, completion_tokens, total_tokens, *_details."""

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


class Done(NamedTuple):
    """The answer is complete."""

    finish_reason: str
    usage: Usage | None
    model: str
    id: str
    tool_calls: list[ToolCallObject]


class Failed(NamedTuple):
    """The stream broke after it had begun."""

    error: Exception


Event = Token | Reasoning | Refusal | ToolCallDelta | Done | Failed

Batch = list[Event]
"""The events that arrived together; none where only time has passed, or what came has no meaning to us."""
