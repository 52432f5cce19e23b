"""ResilientState: shared state over a store, with this process's own memory standing in while the store is away."""

from __future__ import annotations

from app.runtime.store_guard import DatabaseUnavailable
from app.shared_state.coalescing import Coalescer
from app.shared_state.interface import Change, Lease
from app.shared_state.leases import Leases
from app.shared_state.memory import MemoryState
from app.shared_state.per_process import PerProcess
from app.shared_state.store import Store, make_guard
from app.shared_state.updates import Updates


class ResilientState:
    """SharedState over a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._own = PerProcess(lambda: _ProcessState(store))

    def read(self, key: str) -> bytes | None:
        own = self._own.get()
        try:
            return own.guard.call(lambda: own.reads.call(key, None))
        except DatabaseUnavailable:
            return own.fallback.read(key)

    def update(self, key: str, change: Change, *, ttl_s: float) -> bytes | None:
        own = self._own.get()
        try:
            return own.guard.call(lambda: own.updates.update(key, change, ttl_s))
        except DatabaseUnavailable:
            return own.fallback.update(key, change, ttl_s=ttl_s)

    def take_lease(self, name: str, limit: int) -> Lease | None:
        return self._own.get().leases.take(name, limit)

    def close(self) -> None:
        self._store.close()


class _ProcessState:
    def __init__(self, store: Store) -> None:
        self.guard = make_guard(store)
        self.reads: Coalescer[None, bytes | None] = Coalescer(lambda key, asked: [store.read(key)] * len(asked))
        self.updates = Updates(store)
        self.leases = Leases(store, self.guard)
        # What it holds from one outage counts in the next, for as long as it would have in the store.
        self.fallback = MemoryState()
