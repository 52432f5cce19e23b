"""CallContext: the service's interface to its caller, with the client's connection, the budget and the tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.openai_service.results import Attempt
    from app.openai_service.transport.request import PendingRequest


class Pseudonym(Protocol):
    """The keyed hashes that identify a user to the upstream."""

    @property
    def safety_identifier(self) -> str:
        """The same for every request of the user."""

    def cache_key(self, prompt_version: str) -> str:
        """Return the `prompt_cache_key` that all conversations of the user with one prompt share."""


class CallContext(Protocol):
    """The caller of the service: its client's connection, its limits and its budget."""

    @property
    def elapsed_s(self) -> float:
        """The part of the request's time that had passed before the call, for example to receive its body."""

    @property
    def tick_s(self) -> float:
        """The maximum time between two calls of `check()`; 0 for the service's default."""

    @property
    def max_tokens(self) -> int | None:
        """The maximum number of tokens of one answer, if it is lower than the site's."""

    @property
    def tenant(self) -> str:
        """The tenant. Callers of one tenant share cached answers."""

    @property
    def user(self) -> str:
        """The user to whom failures and retries are attributed; "" if unknown."""

    @property
    def pseudonym(self) -> Pseudonym | None:
        """The hashes that identify the user to the upstream; None if the user is unknown."""

    @property
    def traceparent(self) -> str:
        """The `traceparent` header for the upstream, unless an attempt's watcher sets another one; may be empty."""

    @property
    def sees_cache(self) -> bool:
        """Whether the caller may see how many tokens of its input were in the upstream's prompt cache."""

    def check(self) -> None:
        """Raise CallerGone if the client has disconnected. It is called at each tick; any error ends the call."""

    def reserve_attempt(self, model: str, request: PendingRequest) -> Callable[[Attempt], None] | None:
        """Reserve the maximum cost of an attempt, or raise an error to refuse it.

        Args:
            model: the model to call.
            request: the request to send, with the record of the earlier attempts.

        Returns:
            a watcher to call after each step of the attempt, or None.
        """

    def reserve_nothing(self, model: str) -> None:
        """Admit a call that needs no attempt because its answer is cached, or raise an error to refuse it."""

    def watch_free_attempt(self, operation: str) -> Callable[[Attempt], None] | None:
        """Return a watcher to call after each step of an attempt that costs nothing, or None."""

    def note_tool_run(self, name: str, ms: float, error: str | None) -> None:
        """Record that a server tool has just ended: its duration, and the kind of its error, if any."""


class NullContext:
    """A caller that never disconnects and is charged nothing."""

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
        """Reserve nothing, and return no watcher."""

    def reserve_nothing(self, model: str) -> None:
        """Admit the call."""

    def watch_free_attempt(self, operation: str) -> Callable[[Attempt], None] | None:
        """Return no watcher."""

    def note_tool_run(self, name: str, ms: float, error: str | None) -> None:
        """Do nothing."""


class FreeContext(NullContext):
    """The caller of a free request that belongs to a billed call, such as moderation. Both are in one trace."""

    def __init__(self, payer: CallContext) -> None:
        super().__init__(payer.user)
        self.traceparent = payer.traceparent
        self._payer = payer

    def reserve_attempt(self, model: str, request: PendingRequest) -> Callable[[Attempt], None] | None:  # noqa: ARG002
        """Reserve nothing, and return the payer's watcher for free attempts."""
        return self._payer.watch_free_attempt(request.record.operation)
