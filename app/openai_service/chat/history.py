"""Removes the oldest turns of a conversation that is too long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Message = dict[str, Any]

# The cut moves by a quarter of the available tokens; by up to a half where turns have more than 600 tokens on average. After
# each move the rest is written to the upstream's cache again, and only the turns until the next move benefit from that.
_MIN_STEP, _MAX_STEP = 1 / 4, 1 / 2
_TURN_TOKENS_OF_FULL_STEP = 2_400
_PROMPT_ROLES = {"system", "developer"}


def trim(
    messages: Sequence[Message],
    max_tokens: float,
    count_tokens: Callable[[Message], int],
    estimate_tokens: Callable[[Message], int],
) -> tuple[list[Message], int]:
    """Remove the oldest turns until the rest fits, at a cut that stays the same for as many turns as possible.

    The upstream's prompt cache matches the longest common prefix of two requests. If each request removed one more turn,
    only the system prompt would match. So the conversation is cut only at the lines of a grid, counted from the first
    message, which are a quarter to a half of the available tokens apart. Later requests are cut at the same line until
    the rest no longer fits. The position of a line depends only on the messages before it.

    A turn is a user's message and everything up to the next user's message, or up to the last tool result that
    answers one of its calls. System and developer messages always stay. So does the last turn, even if it is too long.
    If no rest that begins at a line fits, the conversation is cut at the first turn from which the rest fits.

    Args:
        messages: the conversation.
        max_tokens: the limit for all messages together.
        count_tokens: counts the tokens of a message exactly; called for the messages that stay and for one more turn.
        estimate_tokens: estimates the tokens of a message quickly; called for all messages.

    Returns:
        the remaining messages, in their order, and their number of tokens.
    """
    starts = _find_turn_starts(messages)
    oldest = starts.pop()
    prompt_tokens = sum(count_tokens(message) for message in messages[:oldest] if _is_prompt(message))
    tokens = prompt_tokens + sum(map(count_tokens, messages[oldest:]))
    lines = _find_lines(messages, starts, max(1, max_tokens - prompt_tokens), estimate_tokens)
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
    remaining = [message for index, message in enumerate(messages) if index >= oldest or _is_prompt(message)]
    return remaining, tokens


def _find_lines(
    messages: Sequence[Message],
    starts: Sequence[int],
    available_tokens: float,
    estimate_tokens: Callable[[Message], int],
) -> set[int]:
    """Return the start of the first turn, and of each turn that is the first one beyond a line of the grid."""
    lines, tokens, turns, previous, line = {0}, 0, 0, 0, 0.0
    for start in starts:
        turn = sum(estimate_tokens(message) for message in messages[previous:start] if not _is_prompt(message))
        tokens, turns, previous = tokens + turn, turns + (turn > 0), start
        step = available_tokens * _choose_step(tokens / max(1, turns))
        if tokens >= line + step:
            lines.add(start)
            line += (tokens - line) // step * step
    return lines


def _choose_step(turn_tokens: float) -> float:
    """Return the distance of two lines, as a part of the available tokens, for turns with `turn_tokens` on average."""
    return min(_MAX_STEP, max(_MIN_STEP, turn_tokens / _TURN_TOKENS_OF_FULL_STEP))


def _find_turn_starts(messages: Sequence[Message]) -> list[int]:
    """Return the index of each turn's first message. The messages before the first user's message are one turn too."""
    starts = [0]
    call_indexes: dict[str, int] = {}
    for index, message in enumerate(messages):
        if message["role"] == "user":
            starts.append(index)
        elif message["role"] == "tool":
            call_index = call_indexes.get(message["tool_call_id"], index)
            while starts[-1] > call_index:
                starts.pop()
        call_indexes.update((call["id"], index) for call in message.get("tool_calls") or ())
    return starts


def _is_prompt(message: Message) -> bool:
    return message["role"] in _PROMPT_ROLES
