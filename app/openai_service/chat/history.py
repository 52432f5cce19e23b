"""trim: leaves out the oldest turns of a conversation that is too long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Message = dict[str, Any]

_PROMPT_ROLES = {"system", "developer"}


def trim(
    messages: Sequence[Message], room: float, tokens_of: Callable[[Message], int]
) -> tuple[list[Message], int]:
    """Leave out as many of the oldest turns as it takes for the rest to fit.

    A turn is a user's message and all that follows it until the next one, and reaches further where a tool's result
    answers a call in it. Prompts of the site are kept wherever they stand; so is the last turn, even if it does not
    fit.

    Args:
        room: how many tokens there may be.
        tokens_of: the tokens of one message, which is asked for those that are kept and for one turn more.
    Returns:
        the messages that are left, in their order, and their tokens.
    """
    starts = _find_turn_starts(messages)
    oldest = starts.pop()
    tokens = sum(map(tokens_of, messages[oldest:]))
    tokens += sum(tokens_of(message) for message in messages[:oldest] if _is_prompt(message))
    for start in reversed(starts):
        turn = (message for message in messages[start:oldest] if not _is_prompt(message))
        tokens_with_turn = tokens + sum(map(tokens_of, turn))
        if tokens_with_turn > room:
            break
        oldest, tokens = start, tokens_with_turn
    kept = [message for at, message in enumerate(messages) if at >= oldest or _is_prompt(message)]
    return kept, tokens


def _find_turn_starts(messages: Sequence[Message]) -> list[int]:
    """Where each turn starts; what stands before the first user's message is a turn as well."""
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
