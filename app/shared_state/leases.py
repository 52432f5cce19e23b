"""Count the leases of each name that this process holds, and report the counts to the store."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from contextlib import suppress

from app.runtime import clock
from app.runtime.store_guard import DatabaseUnavailable, StoreGuard
from app.shared_state.coalescing import Coalescer
from app.shared_state.store import Store

RENEW_S = 2.0
"""How often the store gets the counts."""


class Leases:
    """The leases of one process.

    Each write sends the whole count of a name, so a store that was unavailable or lost its data is correct again
    after the next write. While the store is unavailable, the limit applies to this process alone.
    """

    def __init__(self, store: Store, guard: StoreGuard) -> None:
        self._store = store
        self._guard = guard
        self._process = uuid.uuid4().hex
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()
        # The coalescer also sends the counts of a name one after the other, so the last one written is the newest.
        self._requests: Coalescer[int | None, bool] = Coalescer(self._execute_all)
        self._renew_at = 0.0

    def take(self, name: str, limit: int) -> HeldLease | None:
        """Take a lease: see SharedState.take_lease. Concurrent callers share the lowest of their limits."""
        try:
            taken = self._guard.call(lambda: self._requests.call(name, limit))
        except DatabaseUnavailable:
            taken = self._add(name, 1, limit=limit)
        return HeldLease(self, name) if taken else None

    def count(self, name: str) -> int:
        """Return how many leases of a name all processes hold; this one alone while the store is unavailable."""
        try:
            return self._guard.call(lambda: self._store.count_leases(name))
        except DatabaseUnavailable:
            return self._held.get(name, 0)

    def renew(self) -> None:
        """Report all counts to the store, at most once in RENEW_S seconds."""
        at = clock.ticks()
        if at < self._renew_at:
            return
        self._renew_at = at + RENEW_S
        with self._lock:
            names = list(self._held)
        for name in names:
            self._report(name)

    def release(self, name: str) -> None:
        """Release a lease of a name."""
        self._add(name, -1)
        self._report(name)

    def _report(self, name: str) -> None:
        # If this fails, the next report of the name corrects the count, or the old one expires.
        with suppress(DatabaseUnavailable):
            self._guard.call(lambda: self._requests.call(name, None))

    def _execute_all(self, name: str, requests: list[int | None]) -> list[bool]:
        """Take a lease for each request of one, as far as there are leases, and report the new count.

        Args:
            name: the leases' name.
            requests: the limit of a caller that takes a lease; None of one that reports the count.

        Returns:
            whether each request succeeded.
        """
        limits = [limit for limit in requests if limit is not None]
        taken = 0
        if limits:
            taken = self._store.take_leases(name, self._process, self._held[name], len(limits), min(limits))
            self._add(name, taken)
        if not taken and len(limits) < len(requests):
            self._store.set_leases(self._process, name, self._held[name])
        granted = [True] * taken + [False] * (len(limits) - taken)
        return [limit is None or granted.pop(0) for limit in requests]

    def _add(self, name: str, leases: int, limit: int | None = None) -> bool:
        with self._lock:
            if limit is not None and self._held[name] >= limit:
                return False
            self._held[name] += leases
            if not self._held[name]:
                del self._held[name]
            return True


class HeldLease:
    """A lease that this process holds in the store."""

    def __init__(self, leases: Leases, name: str) -> None:
        self._leases: Leases | None = leases
        self._name = name

    def renew(self) -> None:
        """Renew all leases of this process, unless this one was released."""
        if self._leases is not None:
            self._leases.renew()

    def release(self) -> None:
        """Release the lease. A second call does nothing."""
        leases, self._leases = self._leases, None
        if leases is not None:
            leases.release(self._name)
