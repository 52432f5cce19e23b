"""What many callers of one process do at the same moment comes to a few round trips, and is right for each."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fakes.servers import wait_until
from tests.fakes.storage.leases import take_lease

MANY = 40


class Held:
    """Counts what a store is asked, and holds the first such question until all others wait behind it."""

    def __init__(self, state, monkeypatch):
        self.asked = Counter()
        self._own = state._own.get()
        self._is_first = True
        self._may_go = threading.Event()
        for name in ("read", "read_many", "compare_and_swap", "swap_many", "take_leases", "set_leases"):
            self._count(name, state._store, monkeypatch)

    def _count(self, name, store, monkeypatch):
        ask = getattr(store, name)

        def counted(*args):
            self.asked[name] += 1
            if self._is_first:
                self._is_first = False
                assert self._may_go.wait(10)
            return ask(*args)

        monkeypatch.setattr(store, name, counted)

    def run(self, step):
        """What MANY callers get from a step, of which the first is held until all others wait."""
        with ThreadPoolExecutor(MANY) as threads:
            results = [threads.submit(step, number) for number in range(MANY)]
            wait_until(lambda: self._waiting() == MANY - 1, "all others wait")
            self._may_go.set()
            return [result.result(10) for result in results]

    def _waiting(self):
        updates = self._own.updates
        queues = (self._own.reads, updates._changes, updates._many_changes, self._own.leases._requests)
        return sum(len(waiting) for queue in queues for waiting in queue._waiting.values())


@pytest.fixture
def state(store):
    return store.open()


@pytest.fixture
def held(state, monkeypatch):
    state.read("made before it is wrapped")
    return Held(state, monkeypatch)


def test_readers_of_a_key_share_round_trips(state, held):
    assert held.run(lambda _: state.read("key")) == [None] * MANY
    assert held.asked == {"read": 2}


def test_changes_of_a_key_are_all_made_and_written_together(state, held):
    counts = held.run(lambda _: state.update("key", lambda old: b"%d" % (int(old or 0) + 1), ttl_s=60))
    assert sorted(int(count) for count in counts) == list(range(1, MANY + 1))
    assert state.read("key") == b"%d" % MANY
    assert held.asked == {"read": 3, "compare_and_swap": 2}


def test_changes_of_several_keys_are_all_made_and_written_together(state, held):
    def step(number):
        state.update_many({"all": 60.0, f"own {number % 4}": 60.0}, count_all_up)

    held.run(step)
    assert state.read("all") == b"%d" % MANY
    assert [state.read(f"own {number}") for number in range(4)] == [b"%d" % (MANY // 4)] * 4
    assert held.asked["swap_many"] == 3  # of 1, 32 and 7
    assert held.asked["read_many"] <= 3


def count_all_up(values):
    return {key: b"%d" % (int(value or 0) + 1) for key, value in values.items()}


def test_one_of_many_who_claim_a_key_gets_it(state, held):
    owners = held.run(lambda number: state.update("key", lambda old: old or b"%d" % number, ttl_s=60))
    assert set(owners) == {state.read("key")}
    assert held.asked["compare_and_swap"] == 1


def test_change_that_fails_fails_for_its_caller_alone(state, held):
    def step(number):
        try:
            return state.update("key", lambda old: b"%d" % (int(old or 0) + 1 // (number % 2)), ttl_s=60)
        except ZeroDivisionError:
            return None

    assert Counter(held.run(step))[None] == MANY // 2
    assert state.read("key") == b"%d" % (MANY // 2)


@pytest.mark.parametrize(
    "limit",
    [
        MANY,
        pytest.param(MANY + 10, marks=pytest.mark.thorough),
        MANY - 10,
        pytest.param(1, marks=pytest.mark.thorough),
        0,
    ],
)
def test_leases_are_taken_together_up_to_exactly_the_limit(state, held, limit):
    leases = held.run(lambda _: take_lease(state, "streams", limit))
    assert sum(lease is not None for lease in leases) == min(limit, MANY)
    assert held.asked == {"take_leases": 2}


def test_leases_are_released_together(state, store, monkeypatch):
    leases = [take_lease(state, "streams", MANY) for _ in range(MANY)]
    held = Held(state, monkeypatch)
    held.run(lambda number: leases[number].release())
    assert held.asked == {"set_leases": 2}
    other = store.open()
    assert all(take_lease(other, "streams", MANY) for _ in range(MANY))


def test_leases_are_taken_and_released_together(state, store, monkeypatch):
    leases = [take_lease(state, "streams", 100) for _ in range(MANY // 2)]
    held = Held(state, monkeypatch)
    taken = held.run(lambda at: leases[at // 2].release() if at % 2 else take_lease(state, "streams", MANY))
    assert sum(lease is not None for lease in taken) == MANY // 2
    other = store.open()
    assert sum(take_lease(other, "streams", MANY) is not None for _ in range(MANY)) == MANY // 2


def test_value_that_others_always_change_first_is_left_to_them(state, monkeypatch, events):
    state.update("key", lambda old: b"theirs", ttl_s=60)
    monkeypatch.setattr("app.storage.shared_state.updates.QUEUE_TIMEOUT_S", 0.01)
    monkeypatch.setattr(state._store, "compare_and_swap", lambda *_: False)
    assert state.update("key", lambda old: b"mine", ttl_s=60) == b"theirs"
    assert state.read("key") == b"theirs"
    assert not events


def count_up(old):
    return b"%d" % (int(old or 0) + 1)


def test_key_that_one_process_alone_changes_costs_one_round_trip_a_change(state, monkeypatch):
    for _ in range(2):
        state.update("key", count_up, ttl_s=60)
    held = Held(state, monkeypatch)
    held._is_first = False
    assert [state.update("key", count_up, ttl_s=60) for _ in range(3)] == [b"3", b"4", b"5"]
    assert held.asked == {"compare_and_swap": 3}


def test_what_another_process_changed_meanwhile_is_built_upon(state, store):
    other = store.open()
    for _ in range(3):
        state.update("key", count_up, ttl_s=60)
    assert [other.update("key", count_up, ttl_s=60) for _ in range(3)] == [b"4", b"5", b"6"]
    assert state.update("key", lambda old: old, ttl_s=60) == b"6"
    assert [one.update("key", count_up, ttl_s=60) for one in (state, other, state, state)] == [
        b"7",
        b"8",
        b"9",
        b"10",
    ]
    assert other.update("key", lambda old: None, ttl_s=60) is None
    assert [state.update("key", count_up, ttl_s=60) for _ in range(3)] == [b"1", b"2", b"3"]


def test_what_has_expired_meanwhile_is_not_built_upon(state, store):
    for _ in range(3):
        state.update("key", count_up, ttl_s=60)
    store.move(61)
    assert state.update("key", count_up, ttl_s=60) == b"1"


def test_no_more_values_are_remembered_than_may_be(state, monkeypatch):
    monkeypatch.setattr("app.storage.shared_state.updates._MAX_REMEMBERED", 10)
    for number in range(25):
        state.update(f"key {number}", count_up, ttl_s=60)
    assert len(state._own.get().updates._last_written) <= 10
    assert state.update("key 0", count_up, ttl_s=60) == b"2"
