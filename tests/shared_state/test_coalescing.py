from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.runtime.store_guard import DatabaseUnavailable
from app.shared_state.coalescing import Coalescer
from tests.fakes.servers import wait_until


class Asked:
    """Answers each question with itself and its round trip; each round trip waits until a test lets it go."""

    def __init__(self) -> None:
        self.trips: list[list[int]] = []
        self.errors: list[BaseException | None] = []
        self.coalescer: Coalescer[int, tuple[int, int]] = Coalescer(self._answer_all)
        self._may_go = threading.Semaphore(0)

    def _answer_all(self, key, questions):
        self.trips.append(questions)
        number = len(self.trips)
        assert self._may_go.acquire(timeout=10)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return [(question, number) for question in questions]

    def ask(self, threads, questions):
        """Have each question asked by a thread, each after the one before it."""
        asking = []
        for question in questions:
            before = self.waiting
            asking.append(threads.submit(self.coalescer.call, "key", question))
            wait_until(lambda before=before: self.waiting > before, "it asks or waits")
        return asking

    @property
    def waiting(self):
        return len(self.trips) + len(self.coalescer._waiting.get("key", []))

    def let_go(self, trips=1):
        self._may_go.release(trips)


@pytest.fixture
def asked():
    return Asked()


@pytest.fixture
def threads():
    with ThreadPoolExecutor(40) as threads:
        yield threads


def test_who_asks_while_another_does_shares_the_next_round_trip(asked, threads):
    asking = asked.ask(threads, range(30))
    asked.let_go(2)
    assert [one.result(10) for one in asking] == [(0, 1), *[(number, 2) for number in range(1, 30)]]
    assert asked.trips == [[0], list(range(1, 30))]


def test_who_asks_alone_is_answered_alone(asked, threads):
    asked.let_go(3)
    assert [asked.coalescer.call("key", number) for number in range(3)] == [(0, 1), (1, 2), (2, 3)]
    assert not asked.coalescer._waiting


def test_keys_do_not_wait_for_each_other(asked, threads):
    asked.ask(threads, [0])
    other = threads.submit(asked.coalescer.ask, "other key", 1)
    wait_until(lambda: len(asked.trips) == 2, "both are asked")
    asked.let_go(2)
    assert other.result(10)[0] == 1


def test_store_that_is_away_is_so_for_all_who_wait(asked, threads):
    asked.errors = [DatabaseUnavailable("frozen")]
    asking = asked.ask(threads, range(30))
    asked.let_go()
    assert [str(one.exception(10)) for one in asking] == ["frozen"] * 30
    assert len(asked.trips) == 1
    assert not asked.coalescer._waiting


def test_bug_that_one_meets_is_not_told_to_others(asked, threads):
    asked.errors = [None, ZeroDivisionError()]
    asking = asked.ask(threads, range(4))
    asked.let_go(3)
    assert asking[0].result(10) == (0, 1)
    assert isinstance(asking[1].exception(10), ZeroDivisionError)
    assert [one.result(10) for one in asking[2:]] == [(2, 3), (3, 3)]


def test_who_has_waited_too_long_leaves_the_others_to_it(asked, threads, monkeypatch):
    asking = asked.ask(threads, range(2))
    monkeypatch.setattr("app.shared_state.coalescing.QUEUE_TIMEOUT_S", 0.05)
    impatient = asked.ask(threads, [2])[0]
    assert str(impatient.exception(10)) == "overloaded"
    asked.let_go(2)
    assert [one.result(10) for one in asking] == [(0, 1), (1, 2)]
    assert asked.trips == [[0], [1]]
