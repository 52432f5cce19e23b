from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.storage.shared_state import MemoryState, SharedState, open_state
from tests.fakes.storage.redis_server import RedisServer, redis_server


class Clock:
    """Both clocks of shared state, moved by hand."""

    def __init__(self) -> None:
        self.now = time.time()
        self.ticks = 1000.0

    def move(self, seconds: float) -> None:
        self.now += seconds
        self.ticks += seconds


class Backend:
    """One kind of store; each state that it opens counts as a process."""

    def __init__(self, kind: str, open_one: Callable[[], SharedState], move: Callable[[float], None]) -> None:
        self.kind = kind
        self.move = move
        self._open_one = open_one
        self._opened: list[SharedState] = []

    def open(self) -> SharedState:
        self._opened.append(self._open_one())
        return self._opened[-1]

    def close(self) -> None:
        """Let go of the store; a state that is used again opens it again."""
        for state in self._opened:
            state.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("app.runtime.clock.now", lambda: clock.now)
    monkeypatch.setattr("app.runtime.clock.ticks", lambda: clock.ticks)
    return clock


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_store(shared_redis: RedisServer) -> RedisServer:
    """An empty Redis."""
    shared_redis.client.flushall()
    return shared_redis


def make_backend(kind: str, request: pytest.FixtureRequest, clock: Clock, directory: Path) -> Backend:
    if kind == "memory":
        return Backend(kind, MemoryState, clock.move)
    if kind == "sqlite":
        return Backend(kind, lambda: open_state(directory=directory, redis_url=""), clock.move)
    server: RedisServer = request.getfixturevalue("redis_store")

    def move(seconds: float) -> None:
        clock.move(seconds)
        age(server.client, seconds)

    return Backend(kind, lambda: open_state(directory=directory, redis_url=server.url), move)


def age(client: Any, seconds: float) -> None:
    """Make everything in a Redis older, since its clock cannot be moved."""
    for key in client.keys("gatehouse:*"):
        left_ms = client.pttl(key) - round(seconds * 1000)
        if left_ms <= 0:
            client.delete(key)
            continue
        client.pexpire(key, left_ms)
        if client.type(key) == b"hash":
            for field, value in client.hgetall(key).items():
                held, expires_at_ms = value.split()
                client.hset(key, field, b"%d %d" % (int(held), int(expires_at_ms) - round(seconds * 1000)))


@pytest.fixture(params=["memory", "sqlite", "redis"])
def backend(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Iterator[Backend]:
    backend = make_backend(request.param, request, clock, tmp_path / "state")
    yield backend
    backend.close()


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Iterator[Backend]:
    """A backend that processes share."""
    store = make_backend(request.param, request, clock, tmp_path / "state")
    yield store
    store.close()


@pytest.fixture(params=["sqlite", "sqlite without WAL", "redis"])
def freezable(
    request: pytest.FixtureRequest, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Backend]:
    """A store as processes share it, in each mode that a file can be in, and a way to freeze it."""
    kind, _, without_wal = request.param.partition(" ")
    if without_wal:
        monkeypatch.setattr("app.runtime.sqlite.has_safe_wal", lambda version: False)
    store = make_backend(kind, request, clock, tmp_path / "state")
    yield store
    store.close()


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """What another process needs to open the same store: a directory and a Redis URL."""
    url = request.getfixturevalue("redis_store").url if request.param == "redis" else ""
    return str(tmp_path / "state"), url


@pytest.fixture
def events() -> Iterator[list[logging.LogRecord]]:
    """What shared state has logged."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    log = logging.getLogger("app.shared_state")
    log.addHandler(handler)
    yield records
    log.removeHandler(handler)
