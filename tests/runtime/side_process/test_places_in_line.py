"""Who has a turn, who waits, and who is refused."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import pytest

from app.runtime.side_process.turns import Claim, PoolBusy, Turns


def claim(owner, until=float("inf"), check=lambda: None):
    return Claim(owner, until, check)


def gone():
    raise ConnectionAbortedError


class Waiter:
    """Somebody who waits for a turn in a thread, and keeps it until told to leave."""

    def __init__(self, turns, owner):
        self.has_turn, self.may_leave = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._wait, args=(turns, owner))
        self._thread.start()

    def _wait(self, turns, owner):
        with turns.take(claim(owner)):
            self.has_turn.set()
            self.may_leave.wait(10)

    def leave(self):
        self.may_leave.set()
        self._thread.join(10)


def test_nobody_has_the_last_turn_besides_another():
    turns = Turns(2, max_waiting=8, max_wait_s=0.05)

    with turns.take(claim("greedy")):
        with pytest.raises(PoolBusy), turns.take(claim("greedy")):
            pass
        with turns.take(claim("other")):
            pass


def test_who_has_no_turn_goes_first_and_then_who_came_first():
    turns = Turns(3, max_waiting=40, max_wait_s=10)
    with turns.take(claim("greedy")), ExitStack() as others:
        second = ExitStack()
        second.enter_context(turns.take(claim("greedy")))
        others.enter_context(turns.take(claim("other")))
        waiting = []
        for owner in ("greedy", "third", "fourth"):
            waiting.append(Waiter(turns, owner))
            while len(turns._waiting) < len(waiting):
                time.sleep(0.001)
        assert not any(waiter.has_turn.is_set() for waiter in waiting)

        second.close()
        assert waiting[1].has_turn.wait(10)
        waiting[1].leave()
        assert waiting[2].has_turn.wait(10)
        assert not waiting[0].has_turn.is_set()
        waiting[2].leave()
    assert waiting[0].has_turn.wait(10)
    waiting[0].leave()


def test_the_queue_is_bounded_for_all_and_for_each():
    turns = Turns(1, max_waiting=8, max_wait_s=10)
    with turns.take(claim("first")):
        waiting = [Waiter(turns, "greedy") for _ in range(2)]
        while len(turns._waiting) < 2:
            time.sleep(0.001)
        with pytest.raises(PoolBusy), turns.take(claim("greedy")):
            pass
        waiting += [Waiter(turns, f"other {number}") for number in range(6)]
        while len(turns._waiting) < 8:
            time.sleep(0.001)
        with pytest.raises(PoolBusy), turns.take(claim("one more")):
            pass
        for waiter in waiting:
            waiter.may_leave.set()
    for waiter in waiting:
        waiter.leave()


@pytest.mark.parametrize(
    ("impatient", "error"),
    [(claim("b", until=0.0), PoolBusy), (claim("b", check=gone), ConnectionAbortedError)],
    ids=["deadline", "has left"],
)
def test_who_waits_no_longer_leaves_no_trace(impatient, error):
    turns = Turns(1, max_waiting=4, max_wait_s=60)
    with turns.take(claim("a")), pytest.raises(error), turns.take(impatient):
        pass

    assert not turns._waiting
    assert not turns._running
    with turns.take(claim("b")):
        pass
