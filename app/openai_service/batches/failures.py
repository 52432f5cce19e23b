"""NoteFailure: reports failures at the Batch API to the owner."""

from __future__ import annotations

from typing import Protocol

from app.openai_service.errors import UpstreamError


class NoteFailure(Protocol):
    """Reports failures to the owner."""

    def __call__(self, error: UpstreamError, *, model: str = ...) -> None:
        """Report a failure of the API, or of one model in a batch."""


def ignore_failure(error: UpstreamError, *, model: str = "") -> None:
    """Ignore the failure."""
