"""Changes of several values at once, over each kind of store."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.runtime.store_guard import DatabaseUnavailable
from app.storage.shared_state.updates import _ManyChange

ALL = {"a": 60.0, "b": 60.0, "c": 60.0}


def count_up(values):
    return {key: b"%d" % (int(value or 0) + 1) for key, value in values.items()}


def read(state, keys="abc"):
    return [state.read(key) for key in keys]


def fill(state, keys="abc"):
    for key in keys:
        state.update(key, lambda _, key=key: key.encode(), ttl_s=60)


@pytest.fixture
def asked(store, monkeypatch):
    """A process, and which methods of its store it calls."""
    state, asked = store.open(), []
    for name in ("read", "read_many", "compare_and_swap", "swap_many"):
        call = getattr(state._store, name)
        monkeypatch.setattr(
            state._store, name, lambda *each, name=name, call=call: asked.append(name) or call(*each)
        )
    return state, asked


def test_a_change_is_given_all_values_and_writes_those_that_it_returns(backend):
    state, seen = backend.open(), []
    fill(state, "ab")
    state.update_many(ALL, lambda values: seen.append(dict(values)) or {"c": b"new", "a": b""})
    assert seen[-1] == {"a": b"a", "b": b"b", "c": None}
    assert read(state) == [b"", b"b", b"new"]


@pytest.mark.parametrize("keys", [{}, {"a": 60.0}, ALL])
def test_nothing_is_written_where_nothing_is_returned(backend, keys):
    state = backend.open()
    fill(state)
    backend.move(40)
    state.update_many(keys, lambda _: {})
    backend.move(19)
    assert read(state) == [b"a", b"b", b"c"]
    backend.move(2)
    assert read(state) == [None] * 3


def test_each_new_value_has_a_time_of_its_own(backend):
    state = backend.open()
    fill(state)
    backend.move(40)
    state.update_many({"a": 30.0, "b": 90.0, "c": 90.0}, lambda _: {"a": b"1", "b": b"2"})
    backend.move(21)
    assert read(state) == [b"1", b"2", None]
    backend.move(10)
    assert read(state) == [None, b"2", None]
    state.update_many(ALL, count_up_missing)
    assert read(state) == [b"1", b"2", b"1"]


def count_up_missing(values):
    return {key: b"1" for key, value in values.items() if value is None}


def test_what_another_process_wrote_meanwhile_is_built_upon(store):
    state, other = store.open(), store.open()
    fill(state)
    seen = []

    def overtaken(values):
        if not seen:
            other.update("b", lambda _: b"first", ttl_s=60)
        seen.append(values["b"])
        return {"a": values["b"] + b", then a", "b": values["b"] + b", then b"}

    state.update_many(ALL, overtaken)
    assert seen == [b"b", b"first"]
    assert read(other) == [b"first, then a", b"first, then b", b"c"]


@pytest.mark.parametrize("keys", [{"a": 60.0}, ALL])
def test_an_error_of_a_change_reaches_its_caller_and_changes_nothing(backend, keys):
    state = backend.open()
    fill(state)
    with pytest.raises(ZeroDivisionError):
        state.update_many(keys, lambda _: {"a": b"%d" % (1 // 0)})
    assert read(state) == [b"a", b"b", b"c"]
    state.update_many(keys, lambda _: {"a": b"next"})
    assert read(state) == [b"next", b"b", b"c"]


def test_no_change_is_lost_between_threads_and_processes(store):
    states = [store.open() for _ in range(4)]
    draw = random.Random(7)
    sets = [draw.sample("abcde", draw.choice([1, 2, 3])) for _ in range(96)]

    def work(at):
        state = states[at % 4]
        if at % 5 == 0:
            state.update(sets[at][0], lambda old: b"%d" % (int(old or 0) + 1), ttl_s=60)
        else:
            state.update_many(dict.fromkeys(sets[at], 60.0), count_up)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(work, range(96)))
    expected = [sum(key in (keys[:1] if at % 5 == 0 else keys) for at, keys in enumerate(sets)) for key in "abcde"]
    assert [int(value) for value in read(states[0], "abcde")] == expected


def test_who_alone_changes_some_keys_needs_one_round_trip(asked):
    state, calls = asked
    for _ in range(2):
        state.update_many(ALL, count_up)
    calls.clear()
    for _ in range(3):
        state.update_many(ALL, count_up)
    assert calls == ["swap_many"] * 3
    assert read(state) == [b"5"] * 3


def test_what_has_expired_or_was_changed_by_others_is_not_built_upon(store, asked):
    state, _ = asked
    for _ in range(3):
        state.update_many(ALL, count_up)
    store.open().update("b", lambda _: b"7", ttl_s=100)
    state.update_many(ALL, count_up)
    assert read(state) == [b"4", b"8", b"4"]
    store.move(61)
    state.update_many(ALL, count_up)
    assert read(state) == [b"1"] * 3


def test_whoever_changes_nothing_has_seen_what_is_there_now(store, asked):
    state, _ = asked
    for _ in range(3):
        state.update_many(ALL, count_up)
    store.open().update("b", lambda _: b"0", ttl_s=60)
    state.update_many(ALL, lambda values: {} if values["b"] == b"3" else count_up(values))
    assert read(state) == [b"4", b"1", b"4"]


def test_nothing_is_asked_for_no_keys(asked):
    state, calls = asked
    state.update_many({}, count_up)
    assert calls == []


def test_those_who_come_together_are_each_answered_for_themselves(asked):
    state, calls = asked
    fill(state)
    calls.clear()
    seen = []
    updates = state._own.get().updates
    keys = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")]
    changes = [
        lambda values: count_up(dict.fromkeys(values)),
        lambda _: 1 // 0,
        lambda values: seen.append(values) or {},
        lambda values: seen.append(values) or {"d": values["a"] + b"!"},
    ]
    requests = [_ManyChange(change, dict.fromkeys(each, 60.0)) for each, change in zip(keys, changes, strict=True)]
    outcomes = updates._apply_many("", requests)
    assert [type(outcome) for outcome in outcomes] == [type(None), ZeroDivisionError, type(None), type(None)]
    assert seen == [{"c": b"c", "d": None}, {"a": b"1", "d": None}]
    assert read(state, "abcd") == [b"1", b"1", b"c", b"1!"]
    assert calls[:2] == ["read_many", "swap_many"]


def test_of_hundreds_who_come_together_each_is_counted(asked):
    state, calls = asked
    requests = [
        _ManyChange(count_up, dict.fromkeys(["all", *(f"{number} {place}" for place in range(4))], 60.0))
        for number in range(300)
    ]
    assert state._own.get().updates._apply_many("", requests) == [None] * 300
    assert read(state, ["all", "0 0", "299 3"]) == [b"300", b"1", b"1"]
    assert calls.count("swap_many") == 10


def test_a_process_without_its_store_changes_its_own_memory(asked, monkeypatch):
    state, _ = asked
    fill(state)

    def be_away(*_arguments):
        raise DatabaseUnavailable("away")

    for name in ("read", "read_many", "swap_many"):
        monkeypatch.setattr(state._store, name, be_away)
    for _ in range(2):
        state.update_many(ALL, count_up)
    assert read(state) == [b"2"] * 3
