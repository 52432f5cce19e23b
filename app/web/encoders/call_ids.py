"""CallIds: tells the calls of an answer apart from those before it in the conversation."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any


class CallIds:
    """Gives each call an id that no earlier call has: some servers begin again with the same ones in each answer.

    A page finds the part of a message that a result belongs to by this id alone.
    """

    def __init__(self, messages: Sequence[dict[str, Any]]) -> None:
        self._taken = {call["id"] for message in messages for call in message.get("tool_calls") or ()}
        self._renamed: dict[str, str] = {}

    def rename(self, id_: str) -> str:
        """Return the id of a call: the model's, unless it is taken."""
        if id_ not in self._taken:
            return id_
        return self._renamed.setdefault(id_, f"call_{secrets.token_hex(12)}")
