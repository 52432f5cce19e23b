"""Change values of a store by compare-and-swap, combining concurrent changes of a key."""

from __future__ import annotations

from typing import NamedTuple

from app.shared_state.coalescing import Coalescer
from app.shared_state.interface import Change
from app.shared_state.store import QUEUE_TIMEOUT_S, Store, pace_retries

# Retry soon after a lost race: the pause blocks nothing.
_MAX_PAUSE_S = 0.002
_MAX_REMEMBERED = 1000


class Updates:
    """Changes values of a store. Concurrent changes of a key are applied one after the other and written once.

    When an upstream fails, hundreds of requests change the breaker's key at once.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changes: Coalescer[_Change, bytes | Exception | None] = Coalescer(self._apply_all)
        self._last_written: dict[str, _Written] = {}
        """By key: what this process wrote last."""

    def update(self, key: str, change: Change, ttl_s: float) -> bytes | None:
        """Change a value: see SharedState.update. Raises DatabaseUnavailable."""
        outcome = self._changes.call(key, _Change(change, ttl_s))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _apply_all(self, key: str, changes: list[_Change]) -> list[bytes | Exception | None]:
        written = self._last_written.get(key)
        if written is not None and written.is_sole_writer:
            # The value is probably still the same, which saves reading it. If not, the swap fails.
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
        # Other processes won every race. Their value is returned: falling back to memory would ignore it.
        return [self._store.read(key)] * len(changes)

    def _remember(self, key: str, written: _Written) -> None:
        if len(self._last_written) >= _MAX_REMEMBERED:
            self._last_written.clear()
        self._last_written[key] = written


class _Written(NamedTuple):
    """A value that was written, and whether no other process had written the key since the write before."""

    value: bytes | None
    is_sole_writer: bool


class _Change(NamedTuple):
    """A change, and the lifetime of its result."""

    change: Change
    ttl_s: float


class _Applied:
    """The result of applying changes to a value, one after the other.

    Attributes:
        value: the value after all changes.
        outcomes: for each change the value after it, or the error that it raised, which changes nothing.
        ttl_s: the lifetime of the last change with an effect; None if there was none.
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
