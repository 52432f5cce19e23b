from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.runtime.store_guard import DatabaseUnavailable
from app.storage.shared_state.coalescing import Coalescer
from tests.fakes.servers import wait_until


class HeldCalls:
    """Returns each argument with the number of its round trip; each round trip waits until a test lets it go."""

    def __init__(self) -> None:
        self.trips: list[list[int]] = []
        self.errors: list[BaseException | None] = []
        self.coalescer: Coalescer[int, tuple[int, int]] = Coalescer(self._call_all)
        self._may_go = threading.Semaphore(0)

    def _call_all(self, key, arguments):
        self.trips.append(arguments)
        number = len(self.trips)
        assert self._may_go.acquire(timeout=10)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return [(argument, number) for argument in arguments]

    def start(self, threads, arguments):
        """Call with each argument from a thread of its own, each after the one before it."""
        results = []
        for argument in arguments:
            before = self.waiting
            results.append(threads.submit(self.coalescer.call, "key", argument))
            wait_until(lambda before=before: self.waiting > before, "it calls or waits")
        return results

    @property
    def waiting(self):
        return len(self.trips) + len(self.coalescer._waiting.get("key", []))

    def let_go(self, trips=1):
        self._may_go.release(trips)


@pytest.fixture
def calls():
    return HeldCalls()


@pytest.fixture
def threads():
    with ThreadPoolExecutor(40) as threads:
        yield threads


def test_calls_during_another_share_the_next_round_trip(calls, threads):
    results = calls.start(threads, range(30))
    calls.let_go(2)
    assert [one.result(10) for one in results] == [(0, 1), *[(number, 2) for number in range(1, 30)]]
    assert calls.trips == [[0], list(range(1, 30))]


def test_a_single_call_makes_its_own_round_trip(calls, threads):
    calls.let_go(3)
    assert [calls.coalescer.call("key", number) for number in range(3)] == [(0, 1), (1, 2), (2, 3)]
    assert not calls.coalescer._waiting


def test_keys_do_not_wait_for_each_other(calls, threads):
    calls.start(threads, [0])
    other = threads.submit(calls.coalescer.call, "other key", 1)
    wait_until(lambda: len(calls.trips) == 2, "both are called")
    calls.let_go(2)
    assert other.result(10)[0] == 1


def test_an_outage_fails_all_waiting_calls(calls, threads):
    calls.errors = [DatabaseUnavailable("frozen")]
    results = calls.start(threads, range(30))
    calls.let_go()
    assert [str(one.exception(10)) for one in results] == ["frozen"] * 30
    assert len(calls.trips) == 1
    assert not calls.coalescer._waiting


def test_a_bug_fails_only_its_own_call(calls, threads):
    calls.errors = [None, ZeroDivisionError()]
    results = calls.start(threads, range(4))
    calls.let_go(3)
    assert results[0].result(10) == (0, 1)
    assert isinstance(results[1].exception(10), ZeroDivisionError)
    assert [one.result(10) for one in results[2:]] == [(2, 3), (3, 3)]


def test_a_call_that_waits_too_long_fails_alone(calls, threads, monkeypatch):
    results = calls.start(threads, range(2))
    monkeypatch.setattr("app.storage.shared_state.coalescing.QUEUE_TIMEOUT_S", 0.05)
    impatient = calls.start(threads, [2])[0]
    assert str(impatient.exception(10)) == "overloaded"
    calls.let_go(2)
    assert [one.result(10) for one in results] == [(0, 1), (1, 2)]
    assert calls.trips == [[0], [1]]
