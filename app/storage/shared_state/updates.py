"""Change values of a store by compare-and-swap, and combine concurrent changes of a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from app.storage.shared_state.coalescing import Coalescer
from app.storage.shared_state.interface import Change, ManyChange
from app.storage.shared_state.store import QUEUE_TIMEOUT_S, Store, Swap, pace_retries

# Retry soon after a lost race, as nothing blocks the others meanwhile.
_MAX_PAUSE_S = 0.002
_MAX_REMEMBERED = 1000
# Each has a few keys, and in old versions of SQLite a statement takes at most 999 values.
_MAX_TOGETHER = 32
_MANY = "many"


class Updates:
    """Changes values of a store. Concurrent changes of a key are applied one after the other, and written once.

    This matters when an upstream fails: then hundreds of requests change the breaker's key at the same time.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changes: Coalescer[_Change, bytes | Exception | None] = Coalescer(self._apply_all)
        self._many_changes: Coalescer[_ManyChange, Exception | None] = Coalescer(self._apply_many)
        self._last_written: dict[str, _Written] = {}
        """By key: the value that this process wrote last."""

    def update(self, key: str, change: Change, ttl_s: float) -> bytes | None:
        """Change a value: see SharedState.update. Raises DatabaseUnavailable."""
        outcome = self._changes.call(key, _Change(change, ttl_s))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def update_many(self, ttls_s: Mapping[str, float], change: ManyChange) -> None:
        """Change several values: see SharedState.update_many. Raises DatabaseUnavailable."""
        if not ttls_s:
            return
        if len(ttls_s) == 1:
            ((key, ttl_s),) = ttls_s.items()
            self.update(key, lambda value: change({key: value}).get(key, value), ttl_s)
            return
        error = self._many_changes.call(_MANY, _ManyChange(change, ttls_s))
        if error is not None:
            raise error

    def _apply_all(self, key: str, changes: list[_Change]) -> list[bytes | Exception | None]:
        written = self._last_written.get(key)
        if written is not None and written.is_sole_writer:
            # The value is probably unchanged, so it is not read. If it has changed, the swap fails.
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

    def _apply_many(self, name: str, changes: list[_ManyChange]) -> Sequence[Exception | None]:
        if len(changes) > _MAX_TOGETHER:
            first, others = changes[:_MAX_TOGETHER], changes[_MAX_TOGETHER:]
            return [*self._apply_many(name, first), *self._apply_many(name, others)]
        keys = list(dict.fromkeys(key for each in changes for key in each.ttls_s))
        written = {key: self._last_written[key] for key in keys if key in self._last_written}
        if len(written) == len(keys) and all(each.is_sole_writer for each in written.values()):
            applied = _AppliedMany({key: each.value for key, each in written.items()}, changes)
            # The swap does not compare values that stay the same, and a change may have refused a request because of
            # one.
            if len(applied.swaps) == len(keys) and self._swap_many(applied, written):
                return applied.outcomes
        for _ in pace_retries(QUEUE_TIMEOUT_S, _MAX_PAUSE_S):
            found = self._store.read_many(keys)
            applied = _AppliedMany({key: found.get(key) for key in keys}, changes)
            if not applied.swaps or self._swap_many(applied, written):
                return applied.outcomes
        return [None] * len(changes)

    def _swap_many(self, applied: _AppliedMany, written: Mapping[str, _Written]) -> bool:
        is_done = self._store.swap_many(applied.swaps)
        if is_done:
            for key, swap in applied.swaps.items():
                is_sole_writer = key in written and written[key].value == swap.old
                self._remember(key, _Written(swap.new, is_sole_writer=is_sole_writer))
        return is_done

    def _remember(self, key: str, written: _Written) -> None:
        if len(self._last_written) >= _MAX_REMEMBERED:
            self._last_written.clear()
        self._last_written[key] = written


class _Written(NamedTuple):
    """A value that this process wrote, and whether no other process had written the key since its previous write."""

    value: bytes | None
    is_sole_writer: bool


class _Change(NamedTuple):
    """A change, and the lifetime of its result."""

    change: Change
    ttl_s: float


class _ManyChange(NamedTuple):
    """A change of several values, and the lifetime of each."""

    change: ManyChange
    ttls_s: Mapping[str, float]


class _Applied:
    """The result of applying changes to a value, one after the other.

    Attributes:
        value: the value after all changes.
        outcomes: for each change the value after it, or the error that it raised. An error changes nothing.
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


class _AppliedMany:
    """The result of applying changes of several values, one after the other.

    Attributes:
        swaps: for each changed value, the old and the new one.
        outcomes: for each change None, or the error that it raised. An error changes nothing.
    """

    def __init__(self, values: Mapping[str, bytes | None], changes: list[_ManyChange]) -> None:
        self.outcomes: list[Exception | None] = []
        now = dict(values)
        changed: dict[str, float] = {}
        for change, ttls_s in changes:
            try:
                new = change({key: now[key] for key in ttls_s})
            except Exception as error:
                self.outcomes.append(error)
                continue
            for key in new:
                now[key], changed[key] = new[key], ttls_s[key]
            self.outcomes.append(None)
        self.swaps = {
            key: Swap(values[key], value, ttl_s)
            for key, ttl_s in changed.items()
            if (value := now[key]) is not None and value != values[key]
        }
