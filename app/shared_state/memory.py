"""MemoryState: shared state of one process alone, for tests and as the stand-in for a store that is away."""

from __future__ import annotations

import threading
from collections import Counter

from app.runtime import clock
from app.shared_state.interface import Change

_MIN_SWEEP_SIZE = 1000


class MemoryState:
    """SharedState in a dictionary."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, tuple[bytes, float]] = {}
        self._sweep_above = _MIN_SWEEP_SIZE
        self._held: Counter[str] = Counter()

    def read(self, key: str) -> bytes | None:
        value, expires_at = self._entries.get(key, (None, 0.0))
        return value if clock.ticks() < expires_at else None

    def update(self, key: str, change: Change, *, ttl_s: float) -> bytes | None:
        while True:
            old = self.read(key)
            new = change(old)
            if new == old:
                return new
            with self._lock:
                if self.read(key) == old:
                    self._set(key, new, ttl_s)
                    return new

    def take_lease(self, name: str, limit: int) -> MemoryLease | None:
        with self._lock:
            if self._held[name] >= limit:
                return None
            self._held[name] += 1
        return MemoryLease(self, name)

    def close(self) -> None:
        """There is nothing to let go of."""

    def release(self, name: str) -> None:
        with self._lock:
            self._held[name] -= 1
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
    """A lease that ends with its process, and so need not be kept."""

    def __init__(self, state: MemoryState, name: str) -> None:
        self._state: MemoryState | None = state
        self._name = name

    def renew(self) -> None:
        """NullContext else counts it."""

    def release(self) -> None:
        state, self._state = self._state, None
        if state is not None:
            state.release(self._name)
