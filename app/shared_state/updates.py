"""Updates: from a store's compare-and-set to any change of a value."""

from __future__ import annotations

from typing import NamedTuple

from app.shared_state.coalescing import Batches
from app.shared_state.interface import Change
from app.shared_state.store import QUEUE_S, Store, tries

# Who has lost a race should be back while the value that it has read is fresh; nothing is blocked meanwhile.
_LONGEST_PAUSE_S = 0.002


class Updates:
    """Changes values of a store; changes that are wanted at the same time are made one on the other, and written once.

    When an upstream goes down, hundreds of requests want to write the breaker's key at once.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wishes: Batches[_Wish, bytes | Exception | None] = Batches(self._make_all)

    def update(self, key: str, change: Change, ttl_s: float) -> bytes | None:
        """As SharedState.update. Raises StoreUnavailable."""
        outcome = self._wishes.ask(key, _Wish(change, ttl_s))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _make_all(self, key: str, wishes: list[_Wish]) -> list[bytes | Exception | None]:
        for _ in tries(QUEUE_S, _LONGEST_PAUSE_S):
            old = self._store.read(key)
            made = _Made(old, wishes)
            if made.ttl_s is None or self._store.swap(key, old, made.value, made.ttl_s):
                return made.outcomes
        # Other processes were always first. What they have made of the value is the truth; the stand-in's is not.
        return [self._store.read(key)] * len(wishes)


class _Wish(NamedTuple):
    change: Change
    ttl_s: float


class _Made:
    """What a value comes to when changes are made one after the other.

    Attributes:
        outcomes: for each change the value after it, or what it raised, which leaves the value as it was.
        ttl_s: that of the last change that changed anything; None if none did.
    """

    def __init__(self, value: bytes | None, wishes: list[_Wish]) -> None:
        self.value = value
        self.ttl_s: float | None = None
        self.outcomes: list[bytes | Exception | None] = []
        for change, ttl_s in wishes:
            try:
                new = change(self.value)
            except Exception as error:
                self.outcomes.append(error)
                continue
            if new != self.value:
                self.value, self.ttl_s = new, ttl_s
            self.outcomes.append(new)
