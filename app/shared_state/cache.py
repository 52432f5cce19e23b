"""SharedCache: large values that all workers share, and that nobody misses when they are gone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial

from app.runtime.store_guard import DatabaseUnavailable, StoreGuard
from app.shared_state.per_process import PerProcess
from app.shared_state.store import Store, make_guard

# A vector of a text is some 30 kB: so many are read in a few milliseconds, in which nothing else is done.
_MAX_KEYS_AT_ONCE = 32


class SharedCache:
    """Values by key, over a store. While that is away, nothing is found and nothing is kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._guard = PerProcess[StoreGuard](lambda: make_guard(store))

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The values of those of the keys that have one."""
        found: dict[str, bytes] = {}
        for at in range(0, len(keys), _MAX_KEYS_AT_ONCE):
            some = partial(self._store.read_many, keys[at : at + _MAX_KEYS_AT_ONCE])
            try:
                found |= self._guard.get().call(some)
            except DatabaseUnavailable:
                break
            time.sleep(0)  # let others have their turn
        return found

    def write(self, values: Mapping[str, bytes], *, ttl_s: float) -> None:
        """Keep values for `ttl_s` seconds."""
        for key, value in values.items():
            try:
                self._guard.get().call(partial(self._store.put, key, value, ttl_s))
            except DatabaseUnavailable:
                return
            time.sleep(0)

    def close(self) -> None:
        """Let go of the store; what is in it stays."""
        self._store.close()
