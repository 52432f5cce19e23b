"""Leaves out the oldest turns of a conversation that is too long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Message = dict[str, Any]

_PROMPT_ROLES = {"system", "developer"}


def trim(
    messages: Sequence[Message], max_tokens: float, count_tokens: Callable[[Message], int]
) -> tuple[list[Message], int]:
    """Leave out the oldest turns until the rest fits.

    A turn is a user's message and everything up to the next user's message, or up to the last tool result that
    answers one of its calls. System and developer messages always
    stay; so does the last turn, even if it is too long.

    Args:
        messages: the conversation.
        max_tokens: the limit for all messages together.
        count_tokens: counts one message; called for the messages that stay and for one more turn.

    Returns:
        the messages that stay, in their order, and their tokens.
    """
    starts = _find_turn_starts(messages)
    oldest = starts.pop()
    tokens = sum(map(count_tokens, messages[oldest:]))
    tokens += sum(count_tokens(message) for message in messages[:oldest] if _is_prompt(message))
    for start in reversed(starts):
        turn = (message for message in messages[start:oldest] if not _is_prompt(message))
        tokens_with_turn = tokens + sum(map(count_tokens, turn))
        if tokens_with_turn > max_tokens:
            break
        oldest, tokens = start, tokens_with_turn
    remaining = [message for at, message in enumerate(messages) if at >= oldest or _is_prompt(message)]
    return remaining, tokens


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
