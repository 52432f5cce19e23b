"""Updates: from a store's compare-and-set to any change of a value."""

from __future__ import annotations

import threading

from app.shared_state.interface import Change
from app.shared_state.store import Contended, Store, tries, turn

_STRIPES = 64
# Who has lost a race should be back while the value that it has read is fresh; nothing is blocked meanwhile.
_LONGEST_PAUSE_S = 0.002


class Updates:
    """Changes values of a store, one at a time for each key in this process.

    When an upstream goes down, hundreds of requests want to write the breaker's key at once. Without taking
    turns each of them would find the value changed under it, over and over.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turns = [threading.Lock() for _ in range(_STRIPES)]

    def update(self, key: str, change: Change, ttl_s: float) -> bytes | None:
        """As SharedState.update.

        Raises:
            Contended: others were always first.
            StateUnavailable: the store is away.
        """
        old = self._store.read(key)
        new = change(old)
        if new == old:
            return new
        with turn(self._turns[hash(key) % _STRIPES]):
            for _ in tries(_LONGEST_PAUSE_S):
                if self._store.swap(key, old, new, ttl_s):
                    return new
                old = self._store.read(key)
                new = change(old)
                if new == old:
                    return new
        raise Contended("contended")
