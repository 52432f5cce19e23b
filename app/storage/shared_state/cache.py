"""Cache large values for all workers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial

from app.runtime.per_process import PerProcess
from app.runtime.store_guard import DatabaseUnavailable, StoreGuard
from app.storage.shared_state.store import Store, make_guard

# A vector has about 30 kB. Reading this many takes a few milliseconds, which block the other greenlets.
_MAX_KEYS_AT_ONCE = 32


class SharedCache:
    """Cached values by key, in a store. While it is unavailable, nothing is found and nothing is cached."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._guard = PerProcess[StoreGuard](lambda: make_guard(store))

    def read(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the cached values, by key. Keys without a value are missing in the result."""
        found: dict[str, bytes] = {}
        for at in range(0, len(keys), _MAX_KEYS_AT_ONCE):
            read = partial(self._store.read_many, keys[at : at + _MAX_KEYS_AT_ONCE])
            try:
                found |= self._guard.get().call(read)
            except DatabaseUnavailable:
                break
            time.sleep(0)  # let other greenlets run
        return found

    def write(self, values: Mapping[str, bytes], *, ttl_s: float) -> None:
        """Cache values for `ttl_s` seconds."""
        for key, value in values.items():
            try:
                self._guard.get().call(partial(self._store.put, key, value, ttl_s))
            except DatabaseUnavailable:
                return
            time.sleep(0)

    def close(self) -> None:
        """Close the store's connections."""
        self._store.close()
