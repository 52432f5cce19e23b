"""Share records among all workers, without a fallback: for decisions that need the true value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from app.runtime.per_process import PerProcess
from app.runtime.store_guard import StoreGuard
from app.storage.shared_state.store import Store, make_guard

T = TypeVar("T")


class SharedRecords:
    """Values by key, in a store. Unlike SharedState, it has no fallback: each method raises DatabaseUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._guard = PerProcess[StoreGuard](lambda: make_guard(store))

    def read(self, key: str) -> bytes | None:
        """Return a key's value, None if it has none or has expired."""
        return self._call(partial(self._store.read, key))

    def read_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values that exist, by key."""
        return self._call(partial(self._store.read_many, keys))

    def replace(self, key: str, old: bytes | None, new: bytes | None, *, ttl_s: float) -> bool:
        """Set a key to `new` for `ttl_s` seconds if its value is `old`; return whether it was. None means no value."""
        return self._call(partial(self._store.compare_and_swap, key, old, new, ttl_s))

    def write(self, key: str, value: bytes, *, ttl_s: float) -> None:
        """Set a key for `ttl_s` seconds."""
        self._call(partial(self._store.put, key, value, ttl_s))

    def write_many(self, values: Mapping[str, tuple[bytes, float]]) -> None:
        """Set several keys atomically, each to a value and its lifetime in seconds."""
        self._call(partial(self._store.put_many, values))

    def close(self) -> None:
        """Close the store's connections."""
        self._store.close()

    def _call(self, step: Callable[[], T]) -> T:
        return self._guard.get().call(step)
