"""Leaves out the oldest turns of a conversation that is too long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Message = dict[str, Any]

# A cut moves on by a quarter of the room; by more, and half at most, where turns have over 600 tokens. What a step costs is
# that the rest is written to the cache again, and a step by few turns has to be paid for by those few.
_LEAST_STEP, _MOST_STEP = 1 / 4, 1 / 2
_TURN_TOKENS_FOR_ALL = 2_400
_PROMPT_ROLES = {"system", "developer"}


def trim(
    messages: Sequence[Message],
    max_tokens: float,
    count_tokens: Callable[[Message], int],
    measure: Callable[[Message], int],
) -> tuple[list[Message], int]:
    """Leave out the oldest turns until the rest fits, at a cut that stays where it is for as many turns as possible.

    The upstream's prompt cache matches the longest common beginning of two requests. If each turn left out one more,
    nothing would match but the system prompt. So the conversation is cut on a grid only, whose lines are a quarter to a
    half of the room apart, counted from the first message: the next turn is cut at the same line until the rest no
    longer fits. Where a line is depends on nothing but what is before it.

    A turn is a user's message and everything up to the next user's message, or up to the last tool result that
    answers one of its calls. System and developer messages always stay; so does the last turn, even if it is too long.
    If nothing that begins at a line fits, the conversation is cut at the first turn from which it does.

    Args:
        messages: the conversation.
        max_tokens: the limit for all messages together.
        count_tokens: counts one message; called for the messages that stay and for one more turn.
        measure: returns about as many tokens, at once; called for all messages.

    Returns:
        the messages that stay, in their order, and their tokens.
    """
    starts = _find_turn_starts(messages)
    oldest = starts.pop()
    prompt_tokens = sum(count_tokens(message) for message in messages[:oldest] if _is_prompt(message))
    tokens = prompt_tokens + sum(map(count_tokens, messages[oldest:]))
    lines = _find_lines(messages, starts, max(1, max_tokens - prompt_tokens), measure)
    on_line = None
    for start in reversed(starts):
        turn = (message for message in messages[start:oldest] if not _is_prompt(message))
        tokens_with_turn = tokens + sum(map(count_tokens, turn))
        if tokens_with_turn > max_tokens:
            break
        oldest, tokens = start, tokens_with_turn
        if start in lines:
            on_line = oldest, tokens
    oldest, tokens = on_line or (oldest, tokens)
    remaining = [message for at, message in enumerate(messages) if at >= oldest or _is_prompt(message)]
    return remaining, tokens


def _find_lines(
    messages: Sequence[Message], starts: Sequence[int], room: float, measure: Callable[[Message], int]
) -> set[int]:
    """Return the first turn's start, and that of each turn that is the first beyond a line of the grid."""
    lines, measured, turns, at, line = {0}, 0, 0, 0, 0.0
    for start in starts:
        turn = sum(measure(message) for message in messages[at:start] if not _is_prompt(message))
        measured, turns, at = measured + turn, turns + (turn > 0), start
        step = room * _choose_step(measured / max(1, turns))
        if measured >= line + step:
            lines.add(start)
            line += (measured - line) // step * step
    return lines


def _choose_step(turn_tokens: float) -> float:
    """Return the part of the room by which a cut moves on, for turns of so many tokens on average."""
    return min(_MOST_STEP, max(_LEAST_STEP, turn_tokens / _TURN_TOKENS_FOR_ALL))


def _find_turn_starts(messages: Sequence[Message]) -> list[int]:
    """Return the index of each turn's first message. Messages before the first user's message are a turn too."""
    starts = [0]
    called_at: dict[str, int] = {}
    for at, message in enumerate(messages):
        if message["role"] == "user":
            starts.append(at)
        elif message["role"] == "tool":
            call = called_at.get(message["tool_call_id"], at)
            while starts[-1] > call:
                starts.pop()
        called_at.update((call["id"], at) for call in message.get("tool_calls") or ())
    return starts


def _is_prompt(message: Message) -> bool:
    return message["role"] in _PROMPT_ROLES
