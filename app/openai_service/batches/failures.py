"""NoteFailure: takes what failed at the Batch API, for the owner."""

from __future__ import annotations

from typing import Protocol

from app.openai_service.errors import UpstreamError


class NoteFailure(Protocol):
    """Takes what failed, for the owner."""

    def __call__(self, error: UpstreamError, *, model: str = ...) -> None:
        """Note a failure of the API, or of one model in a batch."""


def ignore_failure(error: UpstreamError, *, model: str = "") -> None:
    """Note nothing."""
