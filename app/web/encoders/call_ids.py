"""Give each tool call an id that is unique in its conversation."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any


class CallIds:
    """Replaces ids that earlier calls of the conversation have, as some servers restart their ids in each answer.

    Clients match a tool's result to its call by this id alone.

    Args:
        messages: the conversation so far.
    """

    def __init__(self, messages: Sequence[dict[str, Any]]) -> None:
        self._taken = {call["id"] for message in messages for call in message.get("tool_calls") or ()}
        self._renamed: dict[str, str] = {}

    def rename(self, id_: str) -> str:
        """Return the id to send for a call: the model's, or a new one if an earlier call has it."""
        if id_ not in self._taken:
            return id_
        return self._renamed.setdefault(id_, f"call_{secrets.token_hex(12)}")
