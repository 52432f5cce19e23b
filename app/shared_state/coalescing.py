"""Batches: what callers of one process ask about the same key at the same time shares one round trip."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from app.runtime.store_guard import DatabaseUnavailable
from app.shared_state.store import QUEUE_S

Q = TypeVar("Q")
A = TypeVar("A")


class Coalescer(Generic[Q, A]):
    """One caller at a time asks about a key: for itself, and for all who came before it began.

    Who comes later waits, and the first of those asks next: no answer is older than its question, and nobody
    waits for more than two round trips, however many there are. If the store is away, all who wait are told so.
    """

    def __init__(self, ask_all: Callable[[str, list[Q]], Sequence[A]]) -> None:
        """Prepare to ask.

        Args:
            ask_all: the answers to questions about a key, in their order.
        """
        self._ask_all = ask_all
        self._lock = threading.Lock()  # for moments; nobody asks while holding it
        self._waiting: dict[str, list[_Waiter[Q, A]]] = {}
        """Of each key that somebody asks about right now, who has come since."""

    def call(self, key: str, question: Q) -> A:
        """Ask, or be answered with others.

        Raises:
            DatabaseUnavailable: the store is away, or keeps this process waiting for QUEUE_S.
        """
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is None:
                self._waiting[key] = []
            else:
                mine = _Waiter[Q, A](question)
                waiting.append(mine)
        if waiting is None:
            return self._lead(key, question, [])
        return self._follow(key, mine)

    def _follow(self, key: str, mine: _Waiter[Q, A]) -> A:
        try:
            mine.woken.acquire(timeout=QUEUE_S)
        except BaseException:  # as when gevent ends a greenlet
            if not self._leave(key, mine):
                self._pass_on(key, [])
            raise
        if mine.answers:
            return mine.answers[0]
        if mine.error is not None:
            raise DatabaseUnavailable(str(mine.error))  # one of its own, as each collects a traceback
        if self._leave(key, mine):
            raise DatabaseUnavailable("overloaded")
        with self._lock:
            others, self._waiting[key] = self._waiting[key], []
        return self._lead(key, mine.question, others)

    def _lead(self, key: str, question: Q, others: list[_Waiter[Q, A]]) -> A:
        questions = [question]
        if others:
            questions += [other.question for other in others]
        try:
            answers = self._ask_all(key, questions)
        except DatabaseUnavailable as error:
            with self._lock:
                others += self._waiting.pop(key)
            for other in others:
                other.error = error
                other.woken.release()
            raise
        except BaseException:  # it says nothing about the others' questions
            self._pass_on(key, others)
            raise
        if others:
            for other, answer in zip(others, answers[1:], strict=True):
                other.answers.append(answer)
                other.woken.release()
        self._pass_on(key, [])
        return answers[0]

    def _pass_on(self, key: str, unanswered: list[_Waiter[Q, A]]) -> None:
        """Have the first of those who wait ask next."""
        with self._lock:
            waiting = self._waiting[key]
            if unanswered:
                waiting[:0] = [other for other in unanswered if not other.has_left]
            if not waiting:
                del self._waiting[key]
                return
            leader = waiting.pop(0)
            leader.leads = True
        leader.woken.release()

    def _leave(self, key: str, mine: _Waiter[Q, A]) -> bool:
        """Wait no longer, unless it is oneself who is to ask next. An answer that is on its way is lost."""
        with self._lock:
            if mine.leads:
                return False
            mine.has_left = True
            waiting = self._waiting.get(key, [])
            if mine in waiting:
                waiting.remove(mine)
            return True


class _Waiter(Generic[Q, A]):
    """A caller who waits for an answer, or to ask next."""

    def __init__(self, question: Q) -> None:
        self.question = question
        self.woken = threading.Lock()
        self.woken.acquire()
        self.answers: list[A] = []
        self.error: DatabaseUnavailable | None = None
        self.leads = False
        self.has_left = False
