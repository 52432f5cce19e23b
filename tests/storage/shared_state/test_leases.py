from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.runtime.store_guard import DatabaseUnavailable
from app.storage.shared_state import LeaseRefused
from app.storage.shared_state.leases import _Request
from app.storage.shared_state.store import LEASE_S
from tests.fakes.storage.leases import take_lease


def take_all(state, limit, name="streams"):
    """Takes leases until there are no more."""
    leases = []
    while lease := take_lease(state, name, limit):
        leases.append(lease)
    return leases


def test_as_many_leases_are_given_as_the_limit_says(backend):
    assert len(take_all(backend.open(), 3)) == 3


def test_limit_of_none_gives_none(backend):
    assert take_lease(backend.open(), "streams", 0) is None


def test_each_name_has_a_limit_of_its_own(backend):
    state = backend.open()
    take_all(state, 1, "one")
    assert take_lease(state, "another", 1)


def test_limit_holds_over_all_processes(store):
    one, other = store.open(), store.open()
    assert len(take_all(one, 2)) == 2
    assert len(take_all(other, 5)) == 3
    assert take_lease(one, "streams", 5) is None


def test_released_lease_can_be_taken_by_another_process(store):
    one, other = store.open(), store.open()
    lease, _ = take_all(one, 2)
    lease.release()
    assert take_lease(other, "streams", 2)
    assert take_lease(other, "streams", 2) is None
    assert take_lease(one, "streams", 2) is None


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
        lease = take_lease(state, "streams", 5)
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
        return take_lease(states[at % 8], "streams", 10)

    with ThreadPoolExecutor(32) as threads:
        leases = list(threads.map(take, range(32)))
    assert sum(lease is not None for lease in leases) == 10


def test_leases_of_a_process_that_shows_no_life_end(store):
    dead, living = store.open(), store.open()
    take_all(dead, 3)
    store.move(9)
    assert take_lease(living, "streams", 3) is None
    store.move(2)
    assert len(take_all(living, 3)) == 3


def test_leases_of_a_dead_process_end_beside_those_that_are_kept(store):
    dead, living = store.open(), store.open()
    lease = take_lease(living, "streams", 4)
    take_all(dead, 4)
    for _ in range(2):
        store.move(6)
        lease.renew()
    assert len(take_all(living, 4)) == 3


def test_kept_lease_lasts(store):
    one, other = store.open(), store.open()
    lease = take_lease(one, "streams", 1)
    for _ in range(10):
        store.move(5)
        lease.renew()
    assert take_lease(other, "streams", 1) is None


def test_keeping_one_lease_keeps_all_of_the_process(store):
    one, other = store.open(), store.open()
    leases = [*take_all(one, 3), *take_all(one, 2, "uploads")]
    store.move(8)
    leases[0].renew()
    store.move(8)
    assert take_lease(other, "streams", 3) is None
    assert take_lease(other, "uploads", 2) is None


def test_keep_tells_the_store_every_two_seconds_at_most(store, monkeypatch):
    state = store.open()
    lease = take_lease(state, "streams", 1)
    told = []
    monkeypatch.setattr(state._store, "set_leases", lambda process, held: told.append(held))
    for _ in range(41):
        lease.renew()
        store.move(0.1)
    assert told == [{"streams": 1}] * 3


def test_keep_brings_back_what_expired_while_the_process_was_stalled(store):
    one, other = store.open(), store.open()
    leases = take_all(one, 3)
    store.move(60)
    leases[0].renew()
    assert take_lease(other, "streams", 3) is None
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
    assert take_lease(other, "streams", 3) is None


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_clock_that_is_set_back_makes_no_lease_last_for_ever(store, clock):
    dead, living = store.open(), store.open()
    clock.move(86_400)
    take_all(dead, 3)
    clock.move(-86_400)
    assert len(take_all(living, 3)) == 3


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_leases_of_dead_processes_and_released_ones_are_cleared_away(store):
    take_all(store.open(), 3)
    store.move(20)
    state = store.open()
    for number in range(2):
        take_lease(state, f"others {number}", 1).release()
        store.move(1)
    assert state._store._file.query("SELECT name, held FROM leases", {}) == [("others 1", 0)]


def test_the_leases_of_all_processes_are_counted(store, clock):
    one, other = store.open(), store.open()
    leases = [take_lease(one, "streams", 10), take_lease(other, "streams", 10), take_lease(other, "streams", 10)]

    assert (one.count_leases("streams"), other.count_leases("streams"), one.count_leases("other")) == (3, 3, 0)
    leases[0].release()
    assert one.count_leases("streams") == 2
    store.move(LEASE_S + 1)
    assert one.count_leases("streams") == 0


def refuse(state, **limits):
    """The name of which there is no lease for someone who wants one of each."""
    with pytest.raises(LeaseRefused) as refusal:
        state.take_lease(limits)
    return refusal.value.name


def count(state, *names):
    return [state.count_leases(name) for name in names]


def test_one_of_each_name_is_taken_and_released_at_once(backend):
    state = backend.open()
    leases = [state.take_lease({"user": 3, "streams": 5}) for _ in range(2)]
    leases.append(state.take_lease({"another": 3, "streams": 5}))
    assert count(state, "user", "another", "streams") == [2, 1, 3]
    leases[1].release()
    leases[1].release()
    assert count(state, "user", "another", "streams") == [1, 1, 2]
    leases[2].release()
    assert count(state, "user", "another", "streams") == [1, 0, 1]


def test_who_is_refused_one_name_takes_none_and_is_told_the_first(backend):
    state = backend.open()
    state.take_lease({"a": 1, "b": 1})
    state.take_lease({"c": 1})
    assert refuse(state, d=1, c=1, e=1) == "c"
    assert refuse(state, b=1, d=1, a=1) == "b"
    assert refuse(state, d=1, a=1, b=1, c=1) == "a"
    assert refuse(state, d=0, a=1) == "d"
    assert count(state, "a", "b", "c", "d", "e") == [1, 1, 1, 0, 0]
    assert state.take_lease({"d": 1, "a": 2, "e": 1})


def test_each_name_counts_over_all_processes(store):
    one, other = store.open(), store.open()
    one.take_lease({"user": 2, "streams": 9})
    other.take_lease({"user": 2, "streams": 9})
    one.take_lease({"another": 2, "streams": 9})
    for state in (one, other):
        assert refuse(state, user=2, streams=9) == "user"
        assert refuse(state, another=2, streams=3) == "streams"
    assert count(one, "user", "another", "streams") == [2, 1, 3]


def test_who_comes_together_is_each_refused_by_a_limit_of_its_own(store, monkeypatch):
    state, other = store.open(), store.open()
    kept = [other.take_lease({"streams": 9}) for _ in range(2)]
    requests = [
        _Request({"a": 2, "streams": 5}, ()),
        _Request({"a": 2, "streams": 3}, ()),
        _Request({"b": 0, "streams": 5}, ()),
        _Request({}, ["a", "streams"]),
        _Request({"a": 2, "streams": 5}, ()),
        _Request({"a": 2, "streams": 9}, ()),
        _Request({"streams": 5, "c": 9}, ()),
        _Request({"streams": 5, "c": 9}, ()),
    ]
    answers = state._own.get().leases._execute_all("", requests)
    assert answers == [None, "streams", "b", None, None, "a", None, "streams"]
    assert count(other, "a", "b", "c", "streams") == [2, 0, 1, 5]
    kept[0].release()
    assert refuse(other, a=2) == "a"
    assert other.take_lease({"streams": 5})


def test_a_lease_of_several_names_costs_one_round_trip_and_so_does_giving_it_back(store, monkeypatch):
    state = store.open()
    kept = state.take_lease({"user": 9, "streams": 9})
    asked = []
    if store.kind == "redis":
        run = state._store._run
        monkeypatch.setattr(state._store, "_run", lambda command: asked.append(command) or run(command))
    else:
        run = state._store._file._run
        monkeypatch.setattr(state._store._file, "_run", lambda *each: asked.append(each) or run(*each))
        state._store._delete_expired_at = float("inf")
    lease = state.take_lease({"user": 9, "another": 9, "streams": 9})
    assert len(asked) == 1
    lease.release()
    assert len(asked) == 2
    store.move(3)
    kept.renew()
    assert len(asked) == 3


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_what_is_given_back_between_a_refusal_and_its_reason_is_taken(store, monkeypatch):
    state, other = store.open(), store.open()
    theirs = other.take_lease({"streams": 1})
    query = state._store._file.query

    def look_late(sql, values):
        theirs.release()
        return query(sql, values)

    monkeypatch.setattr(state._store._file, "query", look_late)
    assert state.take_lease({"streams": 1})
    assert count(other, "streams") == [1]


def test_without_its_store_a_process_counts_each_name_alone(store, monkeypatch):
    state, other = store.open(), store.open()
    other.take_lease({"user": 1, "streams": 2})

    def be_away(*_arguments):
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(state._store, "take_leases", be_away)
    state.take_lease({"user": 1, "streams": 2})
    assert refuse(state, user=1, streams=2) == "user"
    assert refuse(state, another=1, streams=1) == "streams"
    assert state.take_lease({"another": 1, "streams": 2})


def test_who_is_ended_while_it_asks_leaves_no_lease_behind(store, monkeypatch):
    state, other = store.open(), store.open()
    leases, asked = state._own.get().leases, []

    def end_before(_key, request):
        asked.append(request)
        raise KeyboardInterrupt

    def end_after(key, request):
        leases._execute_all(key, [request])
        raise KeyboardInterrupt

    for ended in (end_before, end_after):
        monkeypatch.setattr(leases._requests, "call", ended)
        with pytest.raises(KeyboardInterrupt):
            state.take_lease({"a": 9, "b": 9})
    monkeypatch.undo()
    kept = _Request({"a": 9}, ())
    assert leases._execute_all("", [*asked, kept]) == [None, None]  # the leader asks for all that came before
    assert leases._held == {"a": 1}
    assert count(other, "a", "b") == [1, 0]


def test_who_is_told_of_an_outage_after_its_lease_was_taken_counts_it_once(store, monkeypatch):
    state = store.open()
    leases = state._own.get().leases

    def be_away(*_arguments):
        raise DatabaseUnavailable("away")

    def take_beside_a_report(key, request):
        return leases._execute_all(key, [request, _Request({}, ["another"])])[0]

    monkeypatch.setattr(state._store, "set_leases", be_away)
    monkeypatch.setattr(leases._requests, "call", take_beside_a_report)
    lease = state.take_lease({"a": 9})
    assert leases._held == {"a": 1}
    monkeypatch.undo()
    lease.release()
    assert leases._held == {}
