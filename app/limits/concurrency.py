"""ConcurrencyLimit: how many streams run at once, over all workers. One too many is refused, not queued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.problems import Problem
from app.shared_state import Lease, SharedState


class ServerBusy(Problem):
    """As many streams run as `MAX_CONCURRENT_STREAMS` allows."""

    status = 503
    code = "concurrency_limit"
    sentence = "Too many requests are running now; try again shortly."
    retry_after_s = 1.0


class AccountConcurrencyExceeded(Problem):
    """As many streams run for this user, tenant or address as may."""

    status = 429
    code = "concurrency_limit"
    sentence = "Too many of your requests are running now; try again shortly."
    retry_after_s = 1.0


class ConcurrencyLimit:
    def __init__(self, state: SharedState, *, limit: int) -> None:
        self._state = state
        self._limit = limit

    def acquire(self, accounts: Mapping[str, int]) -> StreamPermit:
        """Keep() it while the stream runs, and release() it.

        Args:
            accounts: what the stream counts for besides, and how many each may have.
        Raises:
            AccountConcurrencyExceeded, ServerBusy: there is none left; none was taken.
        """
        leases: list[Lease] = []
        for name, limit in (
            *((f"streams:{key}", most) for key, most in accounts.items()),
            ("streams", self._limit),
        ):
            lease = self._state.take_lease(name, limit)
            if lease is None:
                StreamPermit(leases).release()
                raise ServerBusy if name == "streams" else AccountConcurrencyExceeded
            leases.append(lease)
        return StreamPermit(leases)


class StreamPermit:
    """The leases of one stream."""

    def __init__(self, leases: Sequence[Lease]) -> None:
        self._leases = leases

    def renew(self) -> None:
        self._leases[0].renew()  # renews all leases of this process

    def release(self) -> None:
        for lease in self._leases:
            lease.release()
