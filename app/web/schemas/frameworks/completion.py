"""Define the body of POST /api/completion, as the AI SDK's `useCompletion` sends it."""

from __future__ import annotations

from typing import Any

from app.web.schemas.chat import ChatFields
from app.web.schemas.fields import NonEmptyText


class CompletionRequest(ChatFields):
    """A prompt, with the fields of a chat beside it."""

    prompt: NonEmptyText

    def _build_messages(self) -> list[dict[str, Any]]:
        return [{"role": "user", "content": self.prompt}]
