"""Leases: how many leases of each name this process holds, and the store told of it."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from contextlib import suppress

from app.shared_state import clock
from app.shared_state.store import Contended, StateUnavailable, Store, turn

RENEW_S = 2.0


class Leases:
    """The leases of one process.

    What is counted here is the truth, and each write tells the store the whole count: a store that was away or
    has lost everything is right again with the next one. While it is away the limit holds for this process alone.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._process = uuid.uuid4().hex
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()
        # Counts have to reach the store in the order in which they were true.
        self._turn = threading.Lock()
        self._renew_at = 0.0

    def take(self, name: str, limit: int) -> HeldLease | None:
        """As SharedState.take_lease."""
        try:
            with turn(self._turn):
                taken = self._take(name, limit)
        except Contended:  # to take one that nobody else knows of could be one too many
            taken = False
        return HeldLease(self, name) if taken else None

    def keep(self) -> None:
        """Tell the store of all leases, if it has not been told for RENEW_S seconds."""
        at = clock.ticks()
        if at < self._renew_at:
            return
        self._renew_at = at + RENEW_S
        with suppress(StateUnavailable), turn(self._turn):
            self._store.note(self._process, self._copy())

    def release(self, name: str) -> None:
        self._add(name, -1)
        # If the store cannot be told, the next count of this name tells it, or the old one expires.
        with suppress(StateUnavailable), turn(self._turn):
            self._store.note(self._process, {name: self._held[name]})

    def _take(self, name: str, limit: int) -> bool:
        try:
            taken = self._store.take(name, self._process, self._held[name], limit)
        except StateUnavailable:
            return self._add(name, 1, limit=limit)
        if taken:
            self._add(name, 1)
        return taken

    def _add(self, name: str, leases: int, limit: int | None = None) -> bool:
        with self._lock:
            if limit is not None and self._held[name] >= limit:
                return False
            self._held[name] += leases
            if not self._held[name]:
                del self._held[name]
            return True

    def _copy(self) -> dict[str, int]:
        with self._lock:
            return dict(self._held)


class HeldLease:
    """A lease that this process holds."""

    def __init__(self, leases: Leases, name: str) -> None:
        self._leases: Leases | None = leases
        self._name = name

    def keep(self) -> None:
        if self._leases is not None:
            self._leases.keep()

    def release(self) -> None:
        leases, self._leases = self._leases, None
        if leases is not None:
            leases.release(self._name)
