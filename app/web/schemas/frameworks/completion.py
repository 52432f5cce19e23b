"""Define the body of POST /api/completion, which the AI SDK's `useCompletion` sends."""

from __future__ import annotations

from typing import Any

from app.web.schemas.chat import ChatFields
from app.web.schemas.fields import NonEmptyText


class CompletionRequest(ChatFields):
    """A prompt, and the fields of a chat."""

    prompt: NonEmptyText

    def _build_messages(self) -> list[dict[str, Any]]:
        return [{"role": "user", "content": self.prompt}]

    def _is_single(self) -> bool:
        return True
