"""Updates: from a store's compare-and-set to any change of a value."""

from __future__ import annotations

from typing import NamedTuple

from app.shared_state.coalescing import Coalescer
from app.shared_state.interface import Change
from app.shared_state.store import QUEUE_S, Store, tries

# Who has lost a race should be back while the value that it has read is fresh; nothing is blocked meanwhile.
_MAX_PAUSE_S = 0.002
_MAX_REMEMBERED = 1000


class Updates:
    """Changes values of a store; changes that are wanted at the same time are made one on the other, and written once.

    When an upstream goes down, hundreds of requests want to write the breaker's key at once.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wishes: Coalescer[_Change, bytes | Exception | None] = Coalescer(self._make_all)
        self._written: dict[str, _Written] = {}
        """What this process has last written under a key."""

    def update(self, key: str, change: Change, ttl_s: float) -> bytes | None:
        """As SharedState.update. Raises DatabaseUnavailable."""
        outcome = self._wishes.call(key, _Change(change, ttl_s))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _make_all(self, key: str, wishes: list[_Change]) -> list[bytes | Exception | None]:
        written = self._written.get(key)
        if written is not None and written.is_alone:
            # It is likely to be there still. If not, the store says so, at the cost of one question more.
            made = _Applied(written.value, wishes)
            if made.ttl_s is not None and self._store.swap(key, written.value, made.value, made.ttl_s):
                self._written[key] = _Written(made.value, is_alone=True)
                return made.outcomes
        for _ in tries(QUEUE_S, _MAX_PAUSE_S):
            old = self._store.read(key)
            made = _Applied(old, wishes)
            if made.ttl_s is None:
                return made.outcomes
            if self._store.swap(key, old, made.value, made.ttl_s):
                self._remember(key, _Written(made.value, is_alone=written is not None and written.value == old))
                return made.outcomes
        # Other processes were always first. What they have made of the value is the truth; the stand-in's is not.
        return [self._store.read(key)] * len(wishes)

    def _remember(self, key: str, written: _Written) -> None:
        if len(self._written) >= _MAX_REMEMBERED:
            self._written.clear()
        self._written[key] = written


class _Written(NamedTuple):
    """A value that was written; `is_alone` where nobody else had written the key since the one before it."""

    value: bytes | None
    is_alone: bool


class _Change(NamedTuple):
    change: Change
    ttl_s: float


class _Applied:
    """What a value comes to when changes are made one after the other.

    Attributes:
        outcomes: for each change the value after it, or what it raised, which leaves the value as it was.
        ttl_s: that of the last change that changed anything; None if none did.
    """

    def __init__(self, value: bytes | None, wishes: list[_Change]) -> None:
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
