"""ConcurrencyLimit: limits concurrent streams over all workers. A stream above the limit is refused, not queued."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.problems import Problem
from app.storage.shared_state import Lease, LeaseRefused, SharedState


class ServerBusy(Problem):
    """The server already runs `MAX_CONCURRENT_STREAMS` streams, or too many requests wait for the answers to others."""

    status = 503
    code = "concurrency_limit"
    sentence = "Too many requests are running now; try again shortly."
    retry_after_s = 1.0


class AccountConcurrencyExceeded(Problem):
    """The user, tenant or address already runs its maximum number of streams."""

    status = 429
    code = "concurrency_limit"
    sentence = "Too many of your requests are running now; try again shortly."
    message_is_safe = True
    retry_after_s: float | None = 1.0

    def __init__(self, limit: int) -> None:
        """Create the error for an account that may run `limit` streams."""
        super().__init__("" if limit else "This account is not allowed to run streams.")
        if not limit:
            self.retry_after_s = None  # a retry cannot help


class ConcurrencyLimit:
    """A maximum number of streams for the server, and one for each account that has a limit."""

    def __init__(
        self, state: SharedState, *, limit: int, note_change: Callable[[int], None] | None = None
    ) -> None:
        """Create it. `note_change` is called with 1 or -1 when a stream begins or ends in this process."""
        self._state = state
        self._limit = limit
        self._note_change = note_change

    def acquire(self, accounts: Mapping[str, int]) -> StreamPermit:
        """Acquire a permit for one stream. Renew it while the stream runs, then release it.

        Args:
            accounts: the maximum of each account that the stream counts for.

        Raises:
            AccountConcurrencyExceeded: one of the accounts already runs its maximum.
            ServerBusy: the server already runs its maximum. No lease is held after either error.
        """
        limits = {f"streams:{key}": maximum for key, maximum in accounts.items()}
        limits["streams"] = self._limit
        try:
            lease = self._state.take_lease(limits)
        except LeaseRefused as refusal:
            if refusal.name == "streams":
                raise ServerBusy from None
            raise AccountConcurrencyExceeded(limits[refusal.name]) from None
        return StreamPermit(lease, self._note_change)


class StreamPermit:
    """The right to run one stream: a lease for the server and one for each limited account."""

    def __init__(self, lease: Lease, note_change: Callable[[int], None] | None) -> None:
        self._lease = lease
        self._note_change = note_change
        if note_change is not None:
            note_change(1)

    def renew(self) -> None:
        """Renew the leases before they expire."""
        self._lease.renew()

    def release(self) -> None:
        """Release the leases, so that another stream can start."""
        self._lease.release()
        note_change, self._note_change = self._note_change, None
        if note_change is not None:
            note_change(-1)
