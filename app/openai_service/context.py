"""What the service needs to know of its caller: who waits for a call, and who pays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.openai_service.results import Attempt
    from app.openai_service.transport.request import PendingRequest


class Pseudonym(Protocol):
    """A user as the upstream knows them: by keyed hashes only."""

    @property
    def safety_identifier(self) -> str:
        """The same for every request of the user."""

    def cache_key(self, prompt_version: str) -> str:
        """Return the part of the upstream's prompt cache that the user's conversations with a prompt share."""


class CallContext(Protocol):
    """The caller of the service: whether its client is still connected, and whether it can pay."""

    @property
    def elapsed_s(self) -> float:
        """The part of the request's time that had passed before the call, such as for receiving its body."""

    @property
    def tick_s(self) -> float:
        """The longest time between two of its checks, if it is shorter than the service's; else 0."""

    @property
    def max_tokens(self) -> int | None:
        """The maximum number of tokens of one answer, if it is lower than the site's."""

    @property
    def tenant(self) -> str:
        """The tenant, whose cached answers it shares."""

    @property
    def user(self) -> str:
        """Whose requests count together when the model fails at them; "" if that is unknown."""

    @property
    def pseudonym(self) -> Pseudonym | None:
        """The user as the upstream knows them; None if that is unknown."""

    @property
    def traceparent(self) -> str:
        """What tells the upstream which trace a call belongs to, if an attempt's watcher says nothing else; or empty."""

    @property
    def sees_cache(self) -> bool:
        """Whether it may see how much of any prompt was in the upstream's cache, as the site itself may."""

    def check(self) -> None:
        """Raise CallerGone if the client has disconnected. Called at each tick; any error ends the call."""

    def reserve_attempt(self, model: str, request: PendingRequest) -> Callable[[Attempt], None] | None:
        """Reserve what an attempt may cost, or raise an error to refuse it.

        Args:
            model: to call.
            request: to send, with the record of the attempts before.

        Returns:
            what is to be told of each step of the attempt, if anything is.
        """

    def reserve_nothing(self, model: str) -> None:
        """Admit a call that needs no attempt, as the answer is cached, or raise an error to refuse it."""

    def watch_free_attempt(self, operation: str) -> Callable[[Attempt], None] | None:
        """Return what is to be told of each step of an attempt that costs nothing, if anything is."""

    def note_tool_run(self, name: str, ms: float, error: str | None) -> None:
        """Note that a server tool has run until now, for how long, and which kind of error it ended with, if any."""


class NullContext:
    """A caller that always waits and pays nothing."""

    elapsed_s = 0.0
    tick_s = 0.0
    max_tokens = None
    tenant = ""
    pseudonym = None
    traceparent = ""
    sees_cache = True

    def __init__(self, user: str = "") -> None:
        self.user = user

    def check(self) -> None:
        """Do nothing."""

    def reserve_attempt(self, model: str, request: PendingRequest) -> Callable[[Attempt], None] | None:
        """Reserve nothing, and watch nothing."""

    def reserve_nothing(self, model: str) -> None:
        """Admit the call."""

    def watch_free_attempt(self, operation: str) -> Callable[[Attempt], None] | None:
        """Watch nothing."""

    def note_tool_run(self, name: str, ms: float, error: str | None) -> None:
        """Do nothing."""


class FreeContext(NullContext):
    """The caller of a request that costs nothing, beside a call that pays: it is part of the same trace."""

    def __init__(self, payer: CallContext) -> None:
        super().__init__(payer.user)
        self.traceparent = payer.traceparent
        self._payer = payer

    def reserve_attempt(self, model: str, request: PendingRequest) -> Callable[[Attempt], None] | None:  # noqa: ARG002
        """Reserve nothing; watch as the payer does."""
        return self._payer.watch_free_attempt(request.record.operation)
