"""Leases: how many leases of each name this process holds, and the store told of it."""

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


class Leases:
    """The leases of one process.

    What is counted here is the truth, and each write tells the store the whole count: a store that was away or
    has lost everything is right again with the next one. While it is away the limit holds for this process alone.
    """

    def __init__(self, store: Store, guard: StoreGuard) -> None:
        self._store = store
        self._guard = guard
        self._process = uuid.uuid4().hex
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()
        # Batches also have the counts reach the store in the order in which they were true.
        self._requests: Coalescer[int | None, bool] = Coalescer(self._execute_all)
        self._renew_at = 0.0

    def take(self, name: str, limit: int) -> HeldLease | None:
        """As SharedState.take_lease; who asks at the same time is given no more than the lowest limit allows."""
        try:
            taken = self._guard.call(lambda: self._requests.call(name, limit))
        except DatabaseUnavailable:
            taken = self._add(name, 1, limit=limit)
        return HeldLease(self, name) if taken else None

    def renew(self) -> None:
        """Tell the store of all leases, if it has not been told for RENEW_S seconds."""
        at = clock.ticks()
        if at < self._renew_at:
            return
        self._renew_at = at + RENEW_S
        with self._lock:
            names = list(self._held)
        for name in names:
            self._report(name)

    def release(self, name: str) -> None:
        self._add(name, -1)
        self._report(name)

    def _report(self, name: str) -> None:
        # If the store cannot be told, the next count of this name tells it, or the old one expires.
        with suppress(DatabaseUnavailable):
            self._guard.call(lambda: self._requests.call(name, None))

    def _execute_all(self, name: str, requests: list[int | None]) -> list[bool]:
        """Take as many as are wanted and there are, and tell the store how many that makes.

        Args:
            requests: the limit, from who wants a lease; None from who wants the count told.
        Returns:
            whether each got what it wanted.
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
    """A lease that this process holds."""

    def __init__(self, leases: Leases, name: str) -> None:
        self._leases: Leases | None = leases
        self._name = name

    def renew(self) -> None:
        if self._leases is not None:
            self._leases.renew()

    def release(self) -> None:
        leases, self._leases = self._leases, None
        if leases is not None:
            leases.release(self._name)
