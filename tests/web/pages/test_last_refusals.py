"""The last refusals of all workers, as the board of /admin shows them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.problems import Forbidden
from app.storage.shared_state import MemoryState
from app.web.pages.refusals import MAX_REFUSALS, Refusals


class Worker:
    """One worker's refusals, and what it does later."""

    def __init__(self, state):
        self.later = []
        self.refusals = Refusals(state, call_later=lambda wait_s, work: self.later.append((wait_s, work)))

    def refuse(self, *routes):
        for route in routes:
            self.refusals.note(Forbidden(), route)

    def work_later(self, clock):
        while self.later:
            wait_s, work = self.later.pop(0)
            clock.move(wait_s)
            work()

    def seen(self):
        return [route for _, _, _, route in self.refusals.list_newest()]


@pytest.fixture
def state():
    return MemoryState()


def test_each_worker_sees_those_of_all_within_a_second(state, clock):
    busy, other = Worker(state), Worker(state)
    busy.refuse("/a", "/b", "/c")
    assert other.seen() == ["/a"]

    assert [wait_s for wait_s, _ in busy.later] == [1.0]
    busy.work_later(clock)
    assert sorted(other.seen()) == ["/a", "/b", "/c"]


def test_a_flood_is_written_once_a_second(state, clock, monkeypatch):
    worker, written = Worker(state), []
    update = state.update
    monkeypatch.setattr(
        state, "update", lambda key, *rest, **more: written.append(key) or update(key, *rest, **more)
    )

    for _ in range(10):
        for _ in range(100):
            worker.refuse("/flood")
            clock.move(0.01)
        worker.work_later(clock)
    assert len(written) <= 12
    assert len(worker.seen()) == MAX_REFUSALS


def test_threads_that_refuse_at_once_do_not_disturb_each_other(state):
    refusals = Refusals(state, call_later=lambda *_: None)
    gate = threading.Barrier(8)

    def work(number):
        gate.wait(10)
        for _ in range(300):
            refusals.note(Forbidden(), f"/{number}")
            refusals.list_newest()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(refusals.list_newest()) == MAX_REFUSALS


def test_what_is_late_is_written_by_itself(state):
    written = threading.Event()
    update = state.update

    def note(key, change, **options):
        update(key, change, **options)
        if b"/late" in (state.read(key) or b""):
            written.set()

    state.update = note
    refusals = Refusals(state)
    for route in ("/first", "/late"):
        refusals.note(Forbidden(), route)
    assert written.wait(30)
