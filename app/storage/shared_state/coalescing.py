"""Coalesce concurrent calls of one process for the same key, so that they share a round trip."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from app.runtime.blocking import is_cooperative
from app.runtime.store_guard import DatabaseUnavailable
from app.runtime.turns import is_loop, others_are_ready
from app.storage.shared_state.store import QUEUE_TIMEOUT_S

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class Coalescer(Generic[Argument, Result]):
    """Makes one call at a time for each key. The leader's call includes all callers that arrived before it began.

    Later callers wait, and the first of them leads the next call. So no result is older than its caller's request,
    and a caller waits for at most two round trips, however many callers there are. If the store is unavailable, all
    waiting callers get that error. Under gevent, a leader first runs the other greenlets that are ready in this turn
    of the loop, so that they can join its call. The event loop itself cannot wait, so it makes a separate call.
    """

    def __init__(self, call_all: Callable[[str, list[Argument]], Sequence[Result]]) -> None:
        """Create it; no call is made yet.

        Args:
            call_all: takes a key and the callers' arguments, and returns their results in the same order.
        """
        self._call_all = call_all
        self._gathers = is_cooperative()
        self._lock = threading.Lock()  # not held during a call
        self._waiting: dict[str, list[_PendingCall[Argument, Result]]] = {}
        """By the key of a running call: the callers that arrived since it began."""

    def call(self, key: str, argument: Argument) -> Result:
        """Return the result for an argument, from a call that may be shared with other callers.

        Raises:
            DatabaseUnavailable: the store is unavailable, or the running call takes longer than QUEUE_TIMEOUT_S.
        """
        with self._lock:
            waiting = self._waiting.get(key)
            must_not_wait = waiting is not None and self._gathers and is_loop()
            if waiting is None:
                self._waiting[key] = []
            elif not must_not_wait:
                pending = _PendingCall[Argument, Result](argument)
                waiting.append(pending)
        if must_not_wait:
            return self._call_all(key, [argument])[0]
        if waiting is not None:
            return self._follow(key, pending)
        return self._lead(key, argument, self._gather(key) if self._gathers and others_are_ready() else [])

    def _gather(self, key: str) -> list[_PendingCall[Argument, Result]]:
        """Run the other greenlets that are ready, and return those of them that have called for the same key."""
        try:
            time.sleep(0)
        except BaseException:  # such as GreenletExit, when gevent kills a greenlet
            self._hand_over(key, [])
            raise
        return self._take_followers(key)

    def _take_followers(self, key: str) -> list[_PendingCall[Argument, Result]]:
        with self._lock:
            followers, self._waiting[key] = self._waiting[key], []
        return followers

    def _follow(self, key: str, pending: _PendingCall[Argument, Result]) -> Result:
        """Wait for the leader's result, or lead the next call."""
        try:
            pending.woken.acquire(timeout=QUEUE_TIMEOUT_S)
        except BaseException:  # such as GreenletExit, when gevent kills a greenlet
            if not self._abandon(key, pending):
                self._hand_over(key, [])
            raise
        if pending.results:
            return pending.results[0]
        if pending.error is not None:
            raise DatabaseUnavailable(str(pending.error))  # a new exception, as each collects a traceback
        if self._abandon(key, pending):
            raise DatabaseUnavailable("overloaded")
        return self._lead(key, pending.argument, self._take_followers(key))

    def _lead(self, key: str, argument: Argument, followers: list[_PendingCall[Argument, Result]]) -> Result:
        """Make the call for this caller and its followers, and give each its result."""
        arguments = [argument]
        if followers:
            arguments += [follower.argument for follower in followers]
        try:
            results = self._call_all(key, arguments)
        except DatabaseUnavailable as error:
            with self._lock:
                followers += self._waiting.pop(key)
            for follower in followers:
                follower.error = error
                follower.woken.release()
            raise
        except BaseException:  # this caller's argument alone may be the reason
            self._hand_over(key, followers)
            raise
        if followers:
            for follower, result in zip(followers, results[1:], strict=True):
                follower.results.append(result)
                follower.woken.release()
        self._hand_over(key, [])
        return results[0]

    def _hand_over(self, key: str, unanswered: list[_PendingCall[Argument, Result]]) -> None:
        """Wake the first waiting caller as the next leader."""
        with self._lock:
            waiting = self._waiting[key]
            if unanswered:
                waiting[:0] = [follower for follower in unanswered if not follower.is_abandoned]
            if not waiting:
                del self._waiting[key]
                return
            leader = waiting.pop(0)
            leader.is_leader = True
        leader.woken.release()

    def _abandon(self, key: str, pending: _PendingCall[Argument, Result]) -> bool:
        """Mark a caller as no longer waiting. Return False if it has become the leader of the next call instead."""
        with self._lock:
            if pending.is_leader:
                return False
            pending.is_abandoned = True
            waiting = self._waiting.get(key, [])
            if pending in waiting:
                waiting.remove(pending)
            return True


class _PendingCall(Generic[Argument, Result]):
    """A caller that waits for its result, or to lead the next call.

    Attributes:
        woken: a locked lock, released to wake the caller.
        results: empty, or the one result.
    """

    def __init__(self, argument: Argument) -> None:
        self.argument = argument
        self.woken = threading.Lock()
        self.woken.acquire()
        self.results: list[Result] = []
        self.error: DatabaseUnavailable | None = None
        self.is_leader = False
        self.is_abandoned = False
