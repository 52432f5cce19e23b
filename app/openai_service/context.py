"""CallContext: for whom a call is made, as far as the service has to know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from app.openai_service.transport.request import PendingRequest


class CallContext(Protocol):
    """Looked after while a call waits, and charged for each of its attempts."""

    @property
    def max_tokens(self) -> int | None:
        """The most tokens of one answer, where that is less than others may have."""

    @property
    def tenant(self) -> str:
        """Whose caches it shares."""

    def check(self) -> None:
        """Called at each tick of waiting. What it raises ends the call: CallerGone where nobody waits any more."""

    def reserve_attempt(self, model: str, request: PendingRequest) -> None:
        """Called before each attempt. What it raises refuses it.

        Args:
            request: with its record, as the attempts before it have left that.
        """

    def reserve_nothing(self, model: str) -> None:
        """Called instead where no attempt is needed, since the answer is there already. What it raises refuses it."""


class NullContext:
    """Never leaves, and is charged nothing."""

    max_tokens = None
    tenant = ""

    def check(self) -> None:
        pass

    def reserve_attempt(self, model: str, request: PendingRequest) -> None:
        pass

    def reserve_nothing(self, model: str) -> None:
        pass
