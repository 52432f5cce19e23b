from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.shared_state.store import LEASE_S


def take_all(state, limit, name="streams"):
    """Takes leases until there are no more."""
    leases = []
    while lease := state.take_lease(name, limit):
        leases.append(lease)
    return leases


def test_as_many_leases_are_given_as_the_limit_says(backend):
    assert len(take_all(backend.open(), 3)) == 3


def test_limit_of_none_gives_none(backend):
    assert backend.open().take_lease("streams", 0) is None


def test_each_name_has_a_limit_of_its_own(backend):
    state = backend.open()
    take_all(state, 1, "one")
    assert state.take_lease("another", 1)


def test_limit_holds_over_all_processes(store):
    one, other = store.open(), store.open()
    assert len(take_all(one, 2)) == 2
    assert len(take_all(other, 5)) == 3
    assert one.take_lease("streams", 5) is None


def test_released_lease_can_be_taken_by_another_process(store):
    one, other = store.open(), store.open()
    lease, _ = take_all(one, 2)
    lease.release()
    assert other.take_lease("streams", 2)
    assert other.take_lease("streams", 2) is None
    assert one.take_lease("streams", 2) is None


def test_second_release_does_nothing(backend):
    state = backend.open()
    lease, _ = take_all(state, 2)
    lease.release()
    lease.release()
    lease.renew()
    assert len(take_all(state, 2)) == 1


def test_threads_never_hold_more_than_the_limit(backend):
    state = backend.open()
    held, most, lock = 0, 0, threading.Lock()

    def work(_):
        nonlocal held, most
        lease = state.take_lease("streams", 5)
        if lease is None:
            return 0
        with lock:
            held += 1
            most = max(most, held)
        with lock:
            held -= 1
        lease.release()
        return 1

    with ThreadPoolExecutor(32) as threads:
        taken = sum(threads.map(work, range(32 * 10)))
    assert most <= 5
    assert taken >= 5
    assert len(take_all(state, 5)) == 5


def test_connections_that_race_get_exactly_the_limit(store):
    states = [store.open() for _ in range(8)]
    start = threading.Barrier(32)

    def take(at):
        start.wait()
        return states[at % 8].take_lease("streams", 10)

    with ThreadPoolExecutor(32) as threads:
        leases = list(threads.map(take, range(32)))
    assert sum(lease is not None for lease in leases) == 10


def test_leases_of_a_process_that_shows_no_life_end(store):
    dead, living = store.open(), store.open()
    take_all(dead, 3)
    store.move(9)
    assert living.take_lease("streams", 3) is None
    store.move(2)
    assert len(take_all(living, 3)) == 3


def test_leases_of_a_dead_process_end_beside_those_that_are_kept(store):
    dead, living = store.open(), store.open()
    lease = living.take_lease("streams", 4)
    take_all(dead, 4)
    for _ in range(2):
        store.move(6)
        lease.renew()
    assert len(take_all(living, 4)) == 3


def test_kept_lease_lasts(store):
    one, other = store.open(), store.open()
    lease = one.take_lease("streams", 1)
    for _ in range(10):
        store.move(5)
        lease.renew()
    assert other.take_lease("streams", 1) is None


def test_keeping_one_lease_keeps_all_of_the_process(store):
    one, other = store.open(), store.open()
    leases = [*take_all(one, 3), *take_all(one, 2, "uploads")]
    store.move(8)
    leases[0].renew()
    store.move(8)
    assert other.take_lease("streams", 3) is None
    assert other.take_lease("uploads", 2) is None


def test_keep_tells_the_store_every_two_seconds_at_most(store, monkeypatch):
    state = store.open()
    lease = state.take_lease("streams", 1)
    told = []
    monkeypatch.setattr(state._store, "set_leases", lambda process, name, held: told.append((name, held)))
    for _ in range(41):
        lease.renew()
        store.move(0.1)
    assert told == [("streams", 1)] * 3


def test_keep_brings_back_what_expired_while_the_process_was_stalled(store):
    one, other = store.open(), store.open()
    leases = take_all(one, 3)
    store.move(60)
    leases[0].renew()
    assert other.take_lease("streams", 3) is None
    assert len(take_all(other, 4)) == 1


def test_keep_brings_back_what_the_store_has_lost(store, tmp_path, request):
    one, other = store.open(), store.open()
    leases = take_all(one, 3)
    if store.kind == "sqlite":
        (tmp_path / "state" / "state.sqlite3").unlink()
    else:
        request.getfixturevalue("redis_store").client.flushall()
    store.move(2)
    leases[0].renew()
    assert other.take_lease("streams", 3) is None


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_clock_that_is_set_back_makes_no_lease_last_for_ever(store, clock):
    dead, living = store.open(), store.open()
    clock.move(86_400)
    take_all(dead, 3)
    clock.move(-86_400)
    assert len(take_all(living, 3)) == 3


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_leases_of_dead_processes_are_cleared_away(store):
    take_all(store.open(), 3)
    store.move(20)
    state = store.open()
    state.take_lease("others", 1).release()
    assert state._store._file.query("SELECT * FROM leases", {}) == []


def test_the_leases_of_all_processes_are_counted(store, clock):
    one, other = store.open(), store.open()
    leases = [one.take_lease("streams", 10), other.take_lease("streams", 10), other.take_lease("streams", 10)]

    assert (one.count_leases("streams"), other.count_leases("streams"), one.count_leases("other")) == (3, 3, 0)
    leases[0].release()
    assert one.count_leases("streams") == 2
    store.move(LEASE_S + 1)
    assert one.count_leases("streams") == 0
