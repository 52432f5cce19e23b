"""A copy of a value in each process: how old it may be, and that a process never misses what it has changed itself."""

from __future__ import annotations

import pytest

from app.runtime.store_guard import DatabaseUnavailable
from app.storage.shared_state import resilient
from app.storage.shared_state.interface import RECENT_S


def write(state, value, key="a"):
    state.update(key, lambda _: value, ttl_s=60)


@pytest.fixture
def reads(store, monkeypatch):
    """A process, and the keys that it reads from the store."""
    state, keys = store.open(), []
    read = state._store.read
    monkeypatch.setattr(state._store, "read", lambda key: keys.append(key) or read(key))
    return state, keys


@pytest.mark.parametrize("value", [b"1", None])
def test_the_store_is_read_once_for_as_long_as_a_copy_lasts(store, reads, value):
    state, keys = reads
    write(store.open(), value)
    for _ in range(10):
        assert state.read_recent("a") == value
    assert keys == ["a"]
    store.move(RECENT_S)
    state.read_recent("a")
    assert keys == ["a", "a"]


def test_each_key_has_a_copy_of_its_own(reads):
    state, keys = reads
    for key in ("a", "b", "a", "b"):
        state.read_recent(key)
    assert keys == ["a", "b"]


def test_what_another_process_writes_is_seen_when_the_copy_has_become_too_old(backend):
    one, other = backend.open(), backend.open()
    write(one, b"1")
    assert one.read_recent("a") == b"1"
    write(one if backend.kind == "memory" else other, b"2")
    assert one.read("a") == b"2"
    assert one.read_recent("a") == (b"2" if backend.kind == "memory" else b"1")
    backend.move(RECENT_S)
    assert one.read_recent("a") == b"2"


def test_what_this_process_writes_is_seen_at_once(backend):
    state = backend.open()
    for value in (b"1", b"2", None, b"3"):
        write(state, value)
        assert state.read_recent("a") == value


def test_what_was_read_before_this_process_changed_it_is_not_kept(reads, monkeypatch):
    state, _ = reads
    write(state, b"1")
    read = state._store.read

    def read_slowly(key):
        value = read(key)
        monkeypatch.setattr(state._store, "read", read)
        write(state, b"2")
        return value

    monkeypatch.setattr(state._store, "read", read_slowly)
    assert state.read_recent("a") == b"1"
    assert state.read_recent("a") == b"2"


def test_who_comes_while_a_copy_is_being_read_reads_as_well(reads, monkeypatch):
    state, _ = reads
    write(state, b"1")
    read, meanwhile = state.read, []

    def read_slowly(key):
        monkeypatch.setattr(state, "read", read)
        meanwhile.append(state.read_recent(key))
        return read(key)

    monkeypatch.setattr(state, "read", read_slowly)
    assert [state.read_recent("a"), *meanwhile] == [b"1", b"1"]


def test_what_a_process_writes_while_its_store_is_away_is_seen_at_once(reads, monkeypatch):
    state, _ = reads
    write(state, b"1")
    assert state.read_recent("a") == b"1"

    def be_away(*_arguments):
        raise DatabaseUnavailable("away")

    for name in ("read", "compare_and_swap"):
        monkeypatch.setattr(state._store, name, be_away)
    write(state, b"2")
    assert state.read_recent("a") == b"2"


def test_copies_are_dropped_before_they_are_too_many(reads, monkeypatch):
    monkeypatch.setattr(resilient, "_MAX_COPIES", 3)
    state, _ = reads
    for number in range(10):
        state.read_recent(f"key {number}")
        assert len(state._own.get().copies) <= 3
