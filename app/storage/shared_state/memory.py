"""Store state in this process's memory: for tests, and as the fallback for an unavailable store."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence

from app.runtime import clock
from app.storage.shared_state.interface import Change, LeaseRefused, ManyChange

_MIN_SWEEP_SIZE = 1000


class MemoryState:
    """SharedState in a dictionary. The methods are documented there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, tuple[bytes, float]] = {}
        self._sweep_above = _MIN_SWEEP_SIZE
        self._held: Counter[str] = Counter()

    def read(self, key: str) -> bytes | None:
        """Return a key's value; None if it has none or has expired."""
        value, expires_at = self._entries.get(key, (None, 0.0))
        return value if clock.ticks() < expires_at else None

    def read_recent(self, key: str) -> bytes | None:
        """Return a key's value; None if it has none or has expired."""
        return self.read(key)

    def update(self, key: str, change: Change, *, ttl_s: float) -> bytes | None:
        """Replace a value atomically with `change(value)`, and return the new one."""
        while True:
            old = self.read(key)
            new = change(old)
            if new == old:
                return new
            with self._lock:
                if self.read(key) == old:
                    self._set(key, new, ttl_s)
                    return new

    def update_many(self, ttls_s: Mapping[str, float], change: ManyChange) -> None:
        """Replace the values of several keys atomically with those that `change(values)` returns."""
        while True:
            old = {key: self.read(key) for key in ttls_s}
            new = change(old)
            with self._lock:
                if all(self.read(key) == value for key, value in old.items()):
                    for key, value in new.items():
                        self._set(key, value, ttls_s[key])
                    return

    def take_lease(self, limits: Mapping[str, int]) -> MemoryLease:
        """Take a lease of each name. Raises LeaseRefused."""
        with self._lock:
            for name, limit in limits.items():
                if self._held[name] >= limit:
                    raise LeaseRefused(name)
            names = tuple(limits)
            self._held.update(names)
        return MemoryLease(self, names)

    def count_leases(self, name: str) -> int:
        """Return the number of leases of a name that are taken."""
        return self._held.get(name, 0)

    def check(self) -> None:
        """Do nothing: memory is always available."""

    def close(self) -> None:
        """Do nothing: there are no connections."""

    def release(self, names: Sequence[str]) -> None:
        """Release a lease of each name."""
        with self._lock:
            self._held.subtract(names)
            for name in names:
                if not self._held[name]:
                    del self._held[name]

    def _set(self, key: str, value: bytes | None, ttl_s: float) -> None:
        if value is None:
            self._entries.pop(key, None)
            return
        self._entries[key] = (value, clock.ticks() + ttl_s)
        if len(self._entries) > self._sweep_above:
            at = clock.ticks()
            self._entries = {key: entry for key, entry in self._entries.items() if at < entry[1]}
            self._sweep_above = max(_MIN_SWEEP_SIZE, 2 * len(self._entries))


class MemoryLease:
    """A lease in memory, which needs no renewing."""

    def __init__(self, state: MemoryState, names: Sequence[str]) -> None:
        self._state: MemoryState | None = state
        self._names = names

    def renew(self) -> None:
        """Do nothing: a lease in memory does not expire."""

    def release(self) -> None:
        """Release the lease. A second call does nothing."""
        state, self._state = self._state, None
        if state is not None:
            state.release(self._names)
