"""Decide whose turn it is, by a bounded queue in which no owner can take all places or all processes."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

TICK_S = 0.5
"""How often it is checked whether a job's caller still waits."""


class PoolBusy(Exception):
    """The job got no turn in time, or the queue is full."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A request for a turn.

    Attributes:
        owner: the user or address that the turn counts for.
        until: the deadline for waiting and working, in time.monotonic() seconds.
        check: called every tick; it raises an error to end the wait, such as when the client has disconnected.
    """

    owner: str
    until: float
    check: Callable[[], None]


@dataclass(eq=False, slots=True)
class _Ticket:
    owner: str
    is_called: threading.Event = field(default_factory=threading.Event)


class Turns:
    """A limited number of concurrent turns. An owner that has a turn never gets the last free one."""

    def __init__(self, count: int, *, max_waiting: int, max_wait_s: float) -> None:
        """Create an empty queue.

        Args:
            count: the maximum number of concurrent turns.
            max_waiting: the maximum number of waiting jobs; for one owner, a quarter of it.
            max_wait_s: how long a job may wait.
        """
        self._count, self._max_waiting, self._max_wait_s = count, max_waiting, max_wait_s
        self._max_waiting_each = max(1, max_waiting // 4)
        self._lock = threading.Lock()
        self._waiting: list[_Ticket] = []
        self._running: Counter[str] = Counter()

    @contextmanager
    def take(self, claim: Claim) -> Iterator[None]:
        """Wait for a turn, and hold it during the block.

        Raises:
            PoolBusy: too many jobs wait, or the wait took too long.
            Exception: the claim's check raised it.
        """
        ticket = _Ticket(claim.owner)
        self._join(ticket)
        try:
            self._await_call(ticket, claim)
            yield
        finally:
            self._leave(ticket)

    def count(self) -> tuple[int, int]:
        """Return the number of running jobs, and that of waiting ones."""
        with self._lock:
            return self._running.total(), len(self._waiting)

    def _join(self, ticket: _Ticket) -> None:
        with self._lock:
            same = sum(other.owner == ticket.owner for other in self._waiting)
            if len(self._waiting) >= self._max_waiting or same >= self._max_waiting_each:
                raise PoolBusy
            self._waiting.append(ticket)
            self._call_next()

    def _await_call(self, ticket: _Ticket, claim: Claim) -> None:
        until = min(claim.until, time.monotonic() + self._max_wait_s)
        while not ticket.is_called.wait(min(TICK_S, max(0.0, until - time.monotonic()))):
            claim.check()
            if time.monotonic() >= until:
                raise PoolBusy

    def _leave(self, ticket: _Ticket) -> None:
        with self._lock:
            if ticket.is_called.is_set():
                self._running[ticket.owner] -= 1
                self._running += Counter()  # removes owners without turns
            else:
                self._waiting.remove(ticket)
            self._call_next()

    def _call_next(self) -> None:
        while self._waiting and (free := self._count - self._running.total()):
            # The first in the queue among the owners with the fewest turns.
            ticket = min(self._waiting, key=lambda waiting: self._running[waiting.owner])
            if free == 1 and self._count > 1 and self._running[ticket.owner]:
                return
            self._waiting.remove(ticket)
            self._running[ticket.owner] += 1
            ticket.is_called.set()
