from __future__ import annotations

import os
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from app.runtime.store_guard import DatabaseUnavailable
from app.storage.shared_state import open_state
from tests.fakes.stopwatch import Stopwatch
from tests.fakes.storage.leases import take_lease
from tests.fakes.storage.stores import locked_file


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state" / "state.sqlite3"


def frozen(store, request, file):
    """The store exists and does not answer."""
    if store.kind == "redis":
        return request.getfixturevalue("redis_store").frozen()
    store.close()
    return locked_file(file)


@contextmanager
def within(seconds):
    watch = Stopwatch()
    yield
    assert watch.elapsed_s() < seconds


def put(value):
    return lambda old: value


def test_frozen_store_is_stood_in_for_and_comes_back(freezable, request, file, events):
    state = freezable.open()
    state.check()
    state.update("key", put(b"shared"), ttl_s=60)
    lease = take_lease(state, "streams", 3)
    with frozen(freezable, request, file):
        with within(0.5):
            assert state.read("key") is None
        with within(0.05):
            with pytest.raises(DatabaseUnavailable):
                state.check()
            assert state.update("key", put(b"own"), ttl_s=60) == b"own"
            assert state.read("key") == b"own"
            while_away = [take_lease(state, "streams", 3) for _ in range(3)]
            assert [lease is not None for lease in while_away] == [True, True, False]
            while_away[0].release()
            lease.renew()
        assert [event.getMessage() for event in events] == ["state.gone"]
    freezable.move(1)
    assert state.read("key") == b"shared"
    assert [event.getMessage() for event in events] == ["state.gone", "state.back"]
    assert {event.levelname for event in events} == {"WARNING"}
    assert events[0].store == freezable.kind
    assert events[1].away_s == 1
    assert "127.0.0.1" not in str([vars(event) for event in events])


def test_leases_of_an_outage_count_once_the_store_is_back(freezable, request, file):
    state, other = freezable.open(), freezable.open()
    lease = take_lease(state, "streams", 3)
    with frozen(freezable, request, file):
        later = take_lease(state, "streams", 3)
    freezable.move(2)
    lease.renew()
    assert take_lease(other, "streams", 3)
    assert take_lease(other, "streams", 3) is None
    later.release()
    assert take_lease(other, "streams", 3)


def test_frozen_store_is_asked_once_a_second(freezable, request, file, monkeypatch, clock, events):
    state = freezable.open()
    state.read("key")
    asked = []
    read = state._store.read
    monkeypatch.setattr(state._store, "read", lambda key: asked.append(key) or read(key))
    with frozen(freezable, request, file):
        for _ in range(20):
            state.read("key")
        assert len(asked) == 1
        clock.move(1)
        for _ in range(20):
            state.read("key")
        assert len(asked) == 2
    assert [event.getMessage() for event in events] == ["state.gone"]


def test_store_that_is_away_at_the_start_is_found_later(tmp_path, clock, events):
    blocked = tmp_path / "state"
    blocked.write_text("a file where the directory should be")
    state = open_state(directory=blocked, redis_url="")
    assert state.update("key", put(b"own"), ttl_s=60) == b"own"
    assert take_lease(state, "streams", 1)
    assert [(event.getMessage(), event.reason) for event in events] == [("state.gone", "FileExistsError")]
    blocked.unlink()
    clock.move(1)
    assert state.read("key") is None
    assert (blocked / "state.sqlite3").exists()
    state.close()


def test_redis_that_refuses_connections_is_stood_in_for(tmp_path, clock, events):
    state = open_state(directory=tmp_path, redis_url="redis://:secret@127.0.0.1:1/0")
    assert state.update("key", put(b"own"), ttl_s=60) == b"own"
    assert state.read("key") == b"own"
    assert [event.reason for event in events] == ["ConnectionError"]
    assert "secret" not in str([vars(event) for event in events])
    assert not list(tmp_path.iterdir())


def test_redis_that_refuses_to_write_is_stood_in_for(redis_store, tmp_path, clock, events):
    state = open_state(directory=tmp_path, redis_url=redis_store.url)
    redis_store.client.replicaof("127.0.0.1", 1)
    try:
        assert take_lease(state, "streams", 1)
    finally:
        redis_store.client.replicaof("NO", "ONE")
    assert [event.getMessage() for event in events] == ["state.gone"]
    state.close()


def test_redis_that_forgot_our_scripts_is_told_them_again(redis_store, tmp_path, events):
    state = open_state(directory=tmp_path, redis_url=redis_store.url)
    take_lease(state, "streams", 2)
    redis_store.client.script_flush()
    assert take_lease(state, "streams", 2)
    assert not take_lease(state, "streams", 2)
    assert not events
    state.close()


def test_redis_that_closed_an_idle_connection_is_not_away(redis_store, tmp_path, events):
    state = open_state(directory=tmp_path, redis_url=redis_store.url)
    state.update("key", put(b"value"), ttl_s=60)
    redis_store.client.client_kill_filter(_type="normal", skipme=True)
    assert state.read("key") == b"value"
    assert not events
    state.close()


def test_redis_can_be_reached_over_a_unix_socket(tmp_path):
    path = tmp_path / "redis.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(5)
        state = open_state(directory=tmp_path, redis_url=f"unix://{path}")
        with ThreadPoolExecutor(1) as threads:
            value = threads.submit(state.read, "key")
            server, _ = listener.accept()
            with server:
                assert server.recv(1000).endswith(b"gatehouse:value:key\r\n")
                server.sendall(b"$5\r\nvalue\r\n")
                assert value.result(5) == b"value"
        state.close()


def test_url_that_is_no_redis_is_refused(tmp_path):
    with pytest.raises(ValueError, match="scheme"):
        open_state(directory=tmp_path, redis_url="http://example.com")


def test_missing_directory_is_made_for_this_user_alone(tmp_path):
    directory = tmp_path / "var" / "state"
    state = open_state(directory=directory, redis_url="")
    assert not directory.exists()
    state.update("key", put(b"value"), ttl_s=60)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / "state.sqlite3").stat().st_mode) == 0o600
    state.close()


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is unwritable for root")
def test_directory_that_cannot_be_written_is_stood_in_for(tmp_path, events):
    tmp_path.chmod(0o500)
    state = open_state(directory=tmp_path, redis_url="")
    assert state.update("key", put(b"own"), ttl_s=60) == b"own"
    assert state.read("key") == b"own"
    assert [event.reason for event in events] == ["PermissionError"]


DAMAGES = [b"not a database" * 1000, b"SQLite format 3\0" + b"\xff" * 20_000]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("is_open", "has_wal"), [(False, True), (False, False), (True, False)])
def test_corrupt_file_is_remade(file, clock, events, damage, is_open, has_wal, monkeypatch):  # noqa: PLR0917
    monkeypatch.setattr("app.runtime.sqlite.has_safe_wal", lambda version: has_wal)
    state, other = (open_state(directory=file.parent, redis_url="") for _ in range(2))
    if is_open:
        state.update("key", put(b"old"), ttl_s=60)
        other.read("key")
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(damage)
    assert state.update("key", put(b"new"), ttl_s=60) == b"new"
    assert other.read("key") == b"new"
    assert [event.getMessage() for event in events] == ["state.remade"]
    state.close()
    other.close()


@pytest.mark.parametrize("damage", DAMAGES)
def test_corruption_behind_the_log_is_seen_by_whoever_reads_that_far(file, clock, events, damage):
    state, other = (open_state(directory=file.parent, redis_url="") for _ in range(2))
    state.update("key", put(b"old"), ttl_s=60)
    other.read("key")
    for path in (file, file.with_name(f"{file.name}-wal")):
        path.write_bytes(damage)
    assert state.update("key", put(b"new"), ttl_s=60) == b"new"  # by what it has in memory, or anew
    other.read("key")
    for _ in range(2):
        clock.move(1)
        assert state.update("key", put(b"newer"), ttl_s=60) == b"newer"
        assert other.read("key") == b"newer"
    assert [event.getMessage() for event in events] == ["state.remade"]
    state.close()
    other.close()


def test_emptied_file_gets_its_tables_again(file, clock, events):
    state = open_state(directory=file.parent, redis_url="")
    state.update("key", put(b"old"), ttl_s=60)
    file.write_bytes(b"")
    assert state.update("key", put(b"new"), ttl_s=60) == b"new"
    assert state.read("key") == b"new"
    assert "state.gone" not in {event.getMessage() for event in events}
    state.close()


@pytest.mark.parametrize("whole_directory", [False, True])
def test_removed_file_is_noticed_within_a_second(file, clock, events, whole_directory):
    state, other = (open_state(directory=file.parent, redis_url="") for _ in range(2))
    state.update("key", put(b"old"), ttl_s=60)
    other.read("key")
    for path in file.parent.iterdir():
        path.unlink()
    if whole_directory:
        file.parent.rmdir()
    clock.move(1)
    assert state.update("key", put(b"new"), ttl_s=60) == b"new"
    assert other.read("key") == b"new"
    assert not events
    state.close()
    other.close()


def test_state_can_be_used_again_after_it_was_closed(store):
    state = store.open()
    state.update("key", put(b"value"), ttl_s=60)
    state.close()
    state.close()
    assert state.read("key") == b"value"
