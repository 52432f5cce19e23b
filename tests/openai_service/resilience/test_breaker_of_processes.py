"""Circuits of several processes: a closed one costs them nothing, and how late each knows what another has seen."""

from __future__ import annotations

import pytest

from app.config import BreakerSettings
from app.openai_service.errors import CircuitOpen
from app.openai_service.resilience.breaker import CircuitBreaker
from app.storage.shared_state import open_state
from app.storage.shared_state.interface import RECENT_S

FAILURES = 5


class Process:
    """A breaker over state of its own, and how often it reads the file that all share."""

    def __init__(self, directory, monkeypatch):
        self.state = open_state(directory=directory, redis_url="")
        self.reads = 0
        read = self.state._store.read

        def count(key):
            self.reads += 1
            return read(key)

        monkeypatch.setattr(self.state._store, "read", count)
        settings = BreakerSettings(failures=FAILURES, cooldown_s=30)
        self.breaker = CircuitBreaker(self.state, settings, upstream="u")

    def call(self, how="succeeded"):
        getattr(self.breaker.admit("chat:m", lease_s=60), how)()

    def is_refused(self):
        try:
            self.breaker.admit("chat:m", lease_s=60).release()
        except CircuitOpen:
            return True
        return False


@pytest.fixture
def move(monkeypatch):
    """Moves the clock by which copies grow old."""
    ticks = 1000.0

    def move(seconds):
        nonlocal ticks
        ticks += seconds

    monkeypatch.setattr("app.runtime.clock.ticks", lambda: ticks)
    return move


@pytest.fixture
def processes(move, tmp_path, monkeypatch):
    opened = [Process(tmp_path, monkeypatch) for _ in range(2)]
    yield opened
    for each in opened:
        each.state.close()


def test_a_closed_circuit_is_read_once_for_all_calls_of_a_moment(processes, move):
    one, _ = processes
    for _ in range(20):
        one.call()
    assert one.reads == 1
    move(RECENT_S)
    one.call()
    assert one.reads == 2


def test_a_circuit_that_has_been_open_costs_no_more_once_it_is_closed(processes, move):
    one, _ = processes
    for _ in range(FAILURES):
        one.call("failed")
    one.breaker._store.update(one.breaker._prefix + "chat:m", lambda _: b'{"openings": 1}', ttl_s=60)
    one.reads = 0
    for _ in range(20):
        one.call()
    assert one.reads == 1


def test_who_opens_a_circuit_refuses_at_once_and_all_others_a_moment_later(processes, move):
    one, other = processes
    other.call()
    for _ in range(FAILURES):
        one.call("failed")
    assert one.is_refused()
    move(RECENT_S)
    assert other.is_refused()


def test_what_a_process_that_knew_nothing_yet_let_through_changes_nothing(processes, move):
    one, other = processes
    other.call()
    late = other.breaker.admit("chat:m", lease_s=60)
    for _ in range(FAILURES):
        one.call("failed")
    other.call("succeeded")
    other.call("failed")  # which tells it
    assert other.is_refused()
    late.succeeded()
    assert one.is_refused()


def test_a_process_that_knows_of_a_failure_knows_of_the_next_at_once(processes):
    one, other = processes
    one.call("failed")
    assert not other.is_refused()
    for _ in range(FAILURES - 1):
        one.call("failed")
    assert other.is_refused()


def test_a_success_ends_the_failures_of_its_own_process_at_once(processes):
    one, _ = processes
    for _ in range(3):
        one.call()
        for _ in range(FAILURES - 1):
            one.call("failed")
        one.call()
    assert not one.is_refused()


def test_a_success_ends_the_failures_of_another_process_a_moment_later(processes, move):
    one, other = processes
    other.call()
    for _ in range(FAILURES - 1):
        one.call("failed")
    move(RECENT_S)
    other.call()
    one.call("failed")
    assert not one.is_refused()
