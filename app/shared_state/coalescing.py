"""Batches: what callers of one process ask about the same key at the same time shares one round trip."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from app.runtime.store_guard import DatabaseUnavailable
from app.shared_state.store import QUEUE_TIMEOUT_S

Q = TypeVar("Q")
A = TypeVar("A")


class Coalescer(Generic[Q, A]):
    """One caller at a time asks about a key: for itself, and for all who came before it began.

    Who comes later waits, and the first of those asks next: no result is older than its argument, and nobody
    waits for more than two round trips, however many there are. If the store is away, all who wait are told so.
    """

    def __init__(self, call_all: Callable[[str, list[Q]], Sequence[A]]) -> None:
        """Prepare to ask.

        Args:
            call_all: the results to arguments about a key, in their order.
        """
        self._call_all = call_all
        self._lock = threading.Lock()  # for moments; nobody asks while holding it
        self._waiting: dict[str, list[_PendingCall[Q, A]]] = {}
        """Of each key that somebody asks about right now, who has come since."""

    def call(self, key: str, argument: Q) -> A:
        """Ask, or be answered with others.

        Raises:
            DatabaseUnavailable: the store is away, or keeps this process waiting for QUEUE_TIMEOUT_S.
        """
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is None:
                self._waiting[key] = []
            else:
                call = _PendingCall[Q, A](argument)
                waiting.append(call)
        if waiting is None:
            return self._lead(key, argument, [])
        return self._follow(key, call)

    def _follow(self, key: str, call: _PendingCall[Q, A]) -> A:
        try:
            call.woken.acquire(timeout=QUEUE_TIMEOUT_S)
        except BaseException:  # as when gevent ends a greenlet
            if not self._abandon(key, call):
                self._hand_over(key, [])
            raise
        if call.results:
            return call.results[0]
        if call.error is not None:
            raise DatabaseUnavailable(str(call.error))  # one of its own, as each collects a traceback
        if self._abandon(key, call):
            raise DatabaseUnavailable("overloaded")
        with self._lock:
            others, self._waiting[key] = self._waiting[key], []
        return self._lead(key, call.argument, others)

    def _lead(self, key: str, argument: Q, others: list[_PendingCall[Q, A]]) -> A:
        arguments = [argument]
        if others:
            arguments += [other.argument for other in others]
        try:
            results = self._call_all(key, arguments)
        except DatabaseUnavailable as error:
            with self._lock:
                others += self._waiting.pop(key)
            for other in others:
                other.error = error
                other.woken.release()
            raise
        except BaseException:  # it says nothing about the others' arguments
            self._hand_over(key, others)
            raise
        if others:
            for other, result in zip(others, results[1:], strict=True):
                other.results.append(result)
                other.woken.release()
        self._hand_over(key, [])
        return results[0]

    def _hand_over(self, key: str, unanswered: list[_PendingCall[Q, A]]) -> None:
        """Have the first of those who wait ask next."""
        with self._lock:
            waiting = self._waiting[key]
            if unanswered:
                waiting[:0] = [other for other in unanswered if not other.is_abandoned]
            if not waiting:
                del self._waiting[key]
                return
            leader = waiting.pop(0)
            leader.is_leader = True
        leader.woken.release()

    def _abandon(self, key: str, call: _PendingCall[Q, A]) -> bool:
        """Wait no longer, unless it is oneself who is to ask next. An result that is on its way is lost."""
        with self._lock:
            if call.is_leader:
                return False
            call.is_abandoned = True
            waiting = self._waiting.get(key, [])
            if call in waiting:
                waiting.remove(call)
            return True


class _PendingCall(Generic[Q, A]):
    """A caller who waits for an result, or to ask next."""

    def __init__(self, argument: Q) -> None:
        self.argument = argument
        self.woken = threading.Lock()
        self.woken.acquire()
        self.results: list[A] = []
        self.error: DatabaseUnavailable | None = None
        self.is_leader = False
        self.is_abandoned = False
