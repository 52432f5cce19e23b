"""Fall back from the shared store to this process's memory while the store is unavailable."""

from __future__ import annotations

from collections.abc import Mapping

from app.runtime import clock
from app.runtime.per_process import PerProcess
from app.runtime.store_guard import DatabaseUnavailable
from app.storage.shared_state.coalescing import Coalescer
from app.storage.shared_state.interface import RECENT_S, Change, Lease, ManyChange
from app.storage.shared_state.leases import Leases
from app.storage.shared_state.memory import MemoryState
from app.storage.shared_state.store import Store, make_guard
from app.storage.shared_state.updates import Updates

_MAX_COPIES = 1000


class ResilientState:
    """SharedState over a store. The methods are documented there."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._own = PerProcess(lambda: _ProcessState(store))

    def read(self, key: str) -> bytes | None:
        """Return a key's value; None if it has none or has expired."""
        own = self._own.get()
        try:
            return own.guard.call(lambda: own.reads.call(key, None))
        except DatabaseUnavailable:
            return own.fallback.read(key)

    def read_recent(self, key: str) -> bytes | None:
        """Return a key's value from a copy that is at most RECENT_S seconds old; None if it has none."""
        copies = self._own.get().copies
        at = clock.ticks()
        copy = copies.get(key)
        if copy is not None and copy.is_read and at < copy.begun_at + RECENT_S:
            return copy.value
        if len(copies) >= _MAX_COPIES:
            copies.clear()
        # The copy is stored before the value is read, so that update() drops it if the value changes meanwhile.
        copy = copies[key] = _Copy(at)
        copy.value = self.read(key)
        copy.is_read = True
        return copy.value

    def update(self, key: str, change: Change, *, ttl_s: float) -> bytes | None:
        """Replace a value atomically with `change(value)`, and return the new one."""
        own = self._own.get()
        try:
            return own.guard.call(lambda: own.updates.update(key, change, ttl_s))
        except DatabaseUnavailable:
            return own.fallback.update(key, change, ttl_s=ttl_s)
        finally:
            own.copies.pop(key, None)

    def update_many(self, ttls_s: Mapping[str, float], change: ManyChange) -> None:
        """Replace the values of several keys atomically with those that `change(values)` returns."""
        own = self._own.get()
        try:
            own.guard.call(lambda: own.updates.update_many(ttls_s, change))
        except DatabaseUnavailable:
            own.fallback.update_many(ttls_s, change)
        finally:
            for key in ttls_s:
                own.copies.pop(key, None)

    def take_lease(self, limits: Mapping[str, int]) -> Lease:
        """Take a lease of each name. Raises LeaseRefused."""
        return self._own.get().leases.take(limits)

    def count_leases(self, name: str) -> int:
        """Return the number of leases of a name that are taken."""
        return self._own.get().leases.count(name)

    def check(self) -> None:
        """Raise DatabaseUnavailable unless the store answers now."""
        self._own.get().guard.call(lambda: self._store.read("check"))

    def close(self) -> None:
        """Close the store's connections."""
        self._store.close()


class _ProcessState:
    """The state that each process has separately: guard, coalescers, copies of values, leases and the fallback."""

    def __init__(self, store: Store) -> None:
        self.guard = make_guard(store)
        self.reads: Coalescer[None, bytes | None] = Coalescer(
            lambda key, callers: [store.read(key)] * len(callers)
        )
        self.updates = Updates(store)
        self.copies: dict[str, _Copy] = {}
        self.leases = Leases(store, self.guard)
        # Its values live until they expire, also after the outage, so they still count in the next one.
        self.fallback = MemoryState()


class _Copy:
    """A copy of a key's value, and when reading it began. The value is not set until `is_read`."""

    def __init__(self, begun_at: float) -> None:
        self.begun_at = begun_at
        self.value: bytes | None = None
        self.is_read = False
