"""Fall back from the shared store to this process's memory while the store is unavailable."""

from __future__ import annotations

from app.runtime.per_process import PerProcess
from app.runtime.store_guard import DatabaseUnavailable
from app.shared_state.coalescing import Coalescer
from app.shared_state.interface import Change, Lease
from app.shared_state.leases import Leases
from app.shared_state.memory import MemoryState
from app.shared_state.store import Store, make_guard
from app.shared_state.updates import Updates


class ResilientState:
    """SharedState over a store; methods as described there."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._own = PerProcess(lambda: _ProcessState(store))

    def read(self, key: str) -> bytes | None:
        """Return a key's value, if any."""
        own = self._own.get()
        try:
            return own.guard.call(lambda: own.reads.call(key, None))
        except DatabaseUnavailable:
            return own.fallback.read(key)

    def update(self, key: str, change: Change, *, ttl_s: float) -> bytes | None:
        """Replace a value atomically by `change(value)`, and return the new one."""
        own = self._own.get()
        try:
            return own.guard.call(lambda: own.updates.update(key, change, ttl_s))
        except DatabaseUnavailable:
            return own.fallback.update(key, change, ttl_s=ttl_s)

    def take_lease(self, name: str, limit: int) -> Lease | None:
        """Take a lease, or return None if all are taken."""
        return self._own.get().leases.take(name, limit)

    def count_leases(self, name: str) -> int:
        """Return how many leases of a name are taken."""
        return self._own.get().leases.count(name)

    def check(self) -> None:
        """Raise DatabaseUnavailable unless the store answers now."""
        self._own.get().guard.call(lambda: self._store.read("check"))

    def close(self) -> None:
        """Close the store's connections."""
        self._store.close()


class _ProcessState:
    """What each process has of its own: the guard, the coalescers, its leases and the fallback."""

    def __init__(self, store: Store) -> None:
        self.guard = make_guard(store)
        self.reads: Coalescer[None, bytes | None] = Coalescer(
            lambda key, callers: [store.read(key)] * len(callers)
        )
        self.updates = Updates(store)
        self.leases = Leases(store, self.guard)
        # Its values survive the outage until they expire, so they count in the next one.
        self.fallback = MemoryState()
