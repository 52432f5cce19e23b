"""The text before a conversation: whose it is, and whether a caller may write it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.schemas.parsing import InvalidRequest


@dataclass(frozen=True, slots=True)
class SystemPrompts:
    """SYSTEM_PROMPT, and whether ALLOW_CLIENT_SYSTEM_PROMPT lets a caller's own stand in for it."""

    own: str
    client_may_write: bool

    def apply(self, messages: list[dict[str, Any]], client_prompt: str | None) -> list[dict[str, Any]]:
        """The conversation with its system prompt before it.

        Raises:
            InvalidRequest: the caller wrote one and may not.
        """
        written = any(message["role"] == "system" for message in messages)
        if not self.client_may_write:
            if client_prompt is not None:
                raise InvalidRequest("systemPrompt: not accepted here.")
            if written:
                raise InvalidRequest("messages: the role system is not accepted here.")
        prompt = client_prompt or ("" if written else self.own)
        return [{"role": "system", "content": prompt}, *messages] if prompt else messages
