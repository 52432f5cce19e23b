"""Updates: from a store's compare-and-set to any change of a value."""

from __future__ import annotations

from typing import NamedTuple

from app.shared_state.coalescing import Coalescer
from app.shared_state.interface import Change
from app.shared_state.store import QUEUE_TIMEOUT_S, Store, pace_retries

# Who has lost a race should be back while the value that it has read is fresh; nothing is blocked meanwhile.
_MAX_PAUSE_S = 0.002
_MAX_REMEMBERED = 1000


class Updates:
    """Changes values of a store; changes that are wanted at the same time are applied one on the other, and written once.

    When an upstream goes down, hundreds of requests want to write the breaker's key at once.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changes: Coalescer[_Change, bytes | Exception | None] = Coalescer(self._apply_all)
        self._last_written: dict[str, _Written] = {}
        """What this process has last written under a key."""

    def update(self, key: str, change: Change, ttl_s: float) -> bytes | None:
        """As SharedState.update. Raises DatabaseUnavailable."""
        outcome = self._changes.call(key, _Change(change, ttl_s))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _apply_all(self, key: str, changes: list[_Change]) -> list[bytes | Exception | None]:
        written = self._last_written.get(key)
        if written is not None and written.is_sole_writer:
            # It is likely to be there still. If not, the store says so, at the cost of one argument more.
            applied = _Applied(written.value, changes)
            if applied.ttl_s is not None and self._store.compare_and_swap(
                key, written.value, applied.value, applied.ttl_s
            ):
                self._last_written[key] = _Written(applied.value, is_sole_writer=True)
                return applied.outcomes
        for _ in pace_retries(QUEUE_TIMEOUT_S, _MAX_PAUSE_S):
            old = self._store.read(key)
            applied = _Applied(old, changes)
            if applied.ttl_s is None:
                return applied.outcomes
            if self._store.compare_and_swap(key, old, applied.value, applied.ttl_s):
                self._remember(
                    key, _Written(applied.value, is_sole_writer=written is not None and written.value == old)
                )
                return applied.outcomes
        # Other processes were always first. What they have applied of the value is the truth; the stand-in's is not.
        return [self._store.read(key)] * len(changes)

    def _remember(self, key: str, written: _Written) -> None:
        if len(self._last_written) >= _MAX_REMEMBERED:
            self._last_written.clear()
        self._last_written[key] = written


class _Written(NamedTuple):
    """A value that was written; `is_sole_writer` where nobody else had written the key since the one before it."""

    value: bytes | None
    is_sole_writer: bool


class _Change(NamedTuple):
    change: Change
    ttl_s: float


class _Applied:
    """What a value comes to when changes are applied one after the other.

    Attributes:
        outcomes: for each change the value after it, or what it raised, which leaves the value as it was.
        ttl_s: that of the last change that changed anything; None if none did.
    """

    def __init__(self, value: bytes | None, changes: list[_Change]) -> None:
        self.value = value
        self.ttl_s: float | None = None
        self.outcomes: list[bytes | Exception | None] = []
        for change, ttl_s in changes:
            try:
                new = change(self.value)
            except Exception as error:
                self.outcomes.append(error)
                continue
            if new != self.value:
                self.value, self.ttl_s = new, ttl_s
            self.outcomes.append(new)
