"""Count the leases of each name that this process holds, and report the counts to the store."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Collection, Mapping
from contextlib import suppress

from app.runtime import clock
from app.runtime.store_guard import DatabaseUnavailable, StoreGuard
from app.storage.shared_state.coalescing import Coalescer
from app.storage.shared_state.interface import LeaseRefused
from app.storage.shared_state.store import Store

RENEW_S = 2.0
"""How often the counts are written to the store."""

_ALL = "leases"


class Leases:
    """The leases of one process.

    Each write sends the whole count of a name. So after the next write, a store that was unavailable or has lost its
    data is correct again. While the store is unavailable, the limit applies to each process separately.
    """

    def __init__(self, store: Store, guard: StoreGuard) -> None:
        self._store = store
        self._guard = guard
        self._process = uuid.uuid4().hex
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()
        # The coalescer also writes the counts one after the other, so the last one written is the newest.
        self._requests: Coalescer[_Request, str | None] = Coalescer(self._execute_all)
        self._renew_at = 0.0

    def take(self, limits: Mapping[str, int]) -> HeldLease:
        """Take a lease of each name: see SharedState.take_lease."""
        request = _Request(limits, reported=())
        try:
            refused = self._guard.call(lambda: self._requests.call(_ALL, request))
        except DatabaseUnavailable:
            self._withdraw(request)
            refused = self._take_alone(limits)
        except BaseException:  # such as GreenletExit, when gevent kills the greenlet
            self._withdraw(request)
            raise
        if refused is not None:
            raise LeaseRefused(refused)
        return HeldLease(self, limits)

    def count(self, name: str) -> int:
        """Return how many leases of a name all processes hold; while the store is unavailable, this process only."""
        try:
            return self._guard.call(lambda: self._store.count_leases(name))
        except DatabaseUnavailable:
            return self._held.get(name, 0)

    def renew(self) -> None:
        """Report all counts to the store, at most once in RENEW_S seconds."""
        at = clock.ticks()
        if at < self._renew_at:
            return
        self._renew_at = at + RENEW_S
        with self._lock:
            names = list(self._held)
        if names:
            self._report(names)

    def release(self, names: Collection[str]) -> None:
        """Release a lease of each name."""
        with self._lock:
            self._add(names, -1)
        self._report(names)

    def _report(self, names: Collection[str]) -> None:
        request = _Request({}, names)
        # If this fails, the next report of these names corrects the counts, or the old counts expire.
        with suppress(DatabaseUnavailable):
            self._guard.call(lambda: self._requests.call(_ALL, request))

    def _execute_all(self, _key: str, requests: list[_Request]) -> list[str | None]:
        """Take the requested leases within the limits, and report the new counts.

        Returns:
            for each request None if it succeeded, else the name of which all leases are taken.
        """
        wanted = [request for request in requests if request.limits]
        refused: list[str | None] = []
        to_report = {name for request in requests for name in request.reported}
        if wanted:
            held = {name: self._held.get(name, 0) for request in wanted for name in request.limits}
            refused = self._store.take_leases(self._process, held, [request.limits for request in wanted])
            taken = [request for request, name in zip(wanted, refused, strict=True) if name is None]
            with self._lock:
                withdrawn = [request for request in taken if not self._count_taken(request)]
            for request in taken:
                to_report.difference_update(request.limits)  # take_leases() has written these counts
            for request in withdrawn:
                to_report.update(request.limits)
        if to_report:
            self._store.set_leases(self._process, {name: self._held.get(name, 0) for name in to_report})
        answers = iter(refused)
        return [next(answers) if request.limits else None for request in requests]

    def _count_taken(self, request: _Request) -> bool:
        """Count the leases of a request, under the lock. Return False if the request was withdrawn."""
        if not request.is_withdrawn:
            request.is_taken = True
            self._add(request.limits, 1)
        return request.is_taken

    def _withdraw(self, request: _Request) -> None:
        """Withdraw a request whose caller got no result: its leases are released, or not taken later."""
        with self._lock:
            request.is_withdrawn = True
            if request.is_taken:
                self._add(request.limits, -1)

    def _take_alone(self, limits: Mapping[str, int]) -> str | None:
        """Take leases without the store. Return None, or the first name of which this process holds all."""
        with self._lock:
            for name, limit in limits.items():
                if self._held.get(name, 0) >= limit:
                    return name
            self._add(limits, 1)
        return None

    def _add(self, names: Collection[str], leases: int) -> None:
        """Add to the count of each name, under the lock."""
        for name in names:
            held = self._held.pop(name, 0) + leases
            if held:
                self._held[name] = held


class _Request:
    """A caller's request: to take a lease of each name in `limits`, or to report the counts of the names in `reported`.

    Attributes:
        is_taken: whether its leases are counted.
        is_withdrawn: whether its caller no longer waits, so that its leases must not be counted.
    """

    def __init__(self, limits: Mapping[str, int], reported: Collection[str]) -> None:
        self.limits = limits
        self.reported = reported
        self.is_taken = False
        self.is_withdrawn = False


class HeldLease:
    """A lease of one or more names, which this process holds in the store."""

    def __init__(self, leases: Leases, names: Collection[str]) -> None:
        self._leases: Leases | None = leases
        self._names = names

    def renew(self) -> None:
        """Renew all leases of this process, unless this one was released."""
        if self._leases is not None:
            self._leases.renew()

    def release(self) -> None:
        """Release the lease. A second call does nothing."""
        leases, self._leases = self._leases, None
        if leases is not None:
            leases.release(self._names)
