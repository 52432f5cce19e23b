from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.runtime import clock as real_clock


def plus_one(value):
    return b"%d" % (int(value or 0) + 1)


def test_key_without_a_value_reads_as_none(backend):
    assert backend.open().read("nothing") is None


@pytest.mark.parametrize("value", [b"", b"\0\xff=", b"x" * 100_000])
def test_value_is_read_as_it_was_written(backend, value):
    state = backend.open()
    assert state.update("key", lambda old: value, ttl_s=60) == value
    assert state.read("key") == value


def test_empty_value_is_not_the_same_as_none(backend):
    state = backend.open()
    state.update("key", lambda old: b"", ttl_s=60)
    seen = []
    state.update("key", lambda old: seen.append(old) or b"full", ttl_s=60)
    assert seen[-1] == b""
    assert state.update("key", lambda old: b"", ttl_s=60) == b""
    assert state.read("key") == b""


def test_other_processes_read_what_one_wrote(store):
    store.open().update("key", lambda old: b"value", ttl_s=60)
    assert store.open().read("key") == b"value"


def test_change_is_given_the_value_before_it(backend):
    state = backend.open()
    assert [state.update("key", plus_one, ttl_s=60) for _ in range(3)] == [b"1", b"2", b"3"]


def test_none_removes_the_value(backend):
    state = backend.open()
    state.update("key", lambda old: b"value", ttl_s=60)
    assert state.update("key", lambda old: None, ttl_s=60) is None
    assert state.read("key") is None


def test_none_for_what_was_not_there_changes_nothing(backend):
    state = backend.open()
    assert state.update("key", lambda old: old, ttl_s=60) is None
    assert state.read("key") is None


def test_value_is_gone_after_its_time(backend):
    state = backend.open()
    state.update("key", lambda old: b"value", ttl_s=60)
    backend.move(58)
    assert state.read("key") == b"value"
    backend.move(3)
    assert state.read("key") is None
    assert state.update("key", plus_one, ttl_s=60) == b"1"


def test_unchanged_value_keeps_the_time_it_had(backend):
    state = backend.open()
    state.update("key", lambda old: b"value", ttl_s=60)
    backend.move(40)
    assert state.update("key", lambda old: old, ttl_s=60) == b"value"
    backend.move(21)
    assert state.read("key") is None


def test_changed_value_gets_a_time_of_its_own(backend):
    state = backend.open()
    state.update("key", plus_one, ttl_s=60)
    backend.move(40)
    state.update("key", plus_one, ttl_s=60)
    backend.move(40)
    assert state.read("key") == b"2"


def test_error_of_a_change_reaches_the_caller_and_leaves_the_value(backend):
    state = backend.open()
    state.update("key", lambda old: b"value", ttl_s=60)
    with pytest.raises(ZeroDivisionError):
        state.update("key", lambda old: b"%d" % (1 // 0), ttl_s=60)
    assert state.read("key") == b"value"
    assert state.update("key", lambda old: b"next", ttl_s=60) == b"next"


def test_change_that_another_overtakes_is_made_again_on_the_new_value(backend):
    state = backend.open()
    other = state if backend.kind == "memory" else backend.open()
    seen = []

    def overtaken(old):
        if not seen:
            other.update("key", lambda old: b"first", ttl_s=60)
        seen.append(old)
        return b"%b, second" % (old or b"none")

    assert state.update("key", overtaken, ttl_s=60) == b"first, second"
    assert seen == [None, b"first"]


def test_no_update_is_lost_between_threads(backend):
    state = backend.open()
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: state.update("key", plus_one, ttl_s=60), range(16 * 10)))
    assert state.read("key") == b"160"


def test_no_update_is_lost_between_connections(store):
    states = [store.open() for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda at: states[at % 8].update("key", plus_one, ttl_s=60), range(8 * 25)))
    assert states[0].read("key") == b"200"


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_clock_that_is_set_back_makes_no_value_last_for_ever(store, clock):
    state = store.open()
    clock.move(86_400)
    state.update("key", lambda old: b"from tomorrow", ttl_s=60)
    clock.move(-86_400)
    assert state.read("key") is None
    assert state.update("key", plus_one, ttl_s=60) == b"1"


@pytest.mark.parametrize("backend", ["memory", "sqlite"], indirect=True)
def test_values_whose_time_has_passed_are_cleared_away(backend, monkeypatch, tmp_path):
    state = backend.open()
    for number in range(1000):
        state.update(f"key {number}", plus_one, ttl_s=1)
    backend.move(5)
    for number in range(60):
        state.update(f"later key {number}", plus_one, ttl_s=100)
        backend.move(1.1)
    if backend.kind == "memory":
        assert len(state._entries) < 100
    else:
        rows = state._store._file.query("SELECT count(*) FROM entries", {})
        assert rows[0][0] < 100


def test_real_clocks_run():
    assert real_clock.now() > 1_700_000_000
    assert real_clock.ticks() <= real_clock.ticks()
