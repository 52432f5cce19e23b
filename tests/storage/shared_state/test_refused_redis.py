"""A Redis that refuses: the operator is told why and what to check, and never with the password."""

from __future__ import annotations

import pytest
import redis

from app.runtime.store_guard import DatabaseUnavailable
from app.storage.shared_state import open_state


@pytest.fixture
def guarded(shared_redis):
    """A Redis that wants a password."""
    shared_redis.client.config_set("requirepass", "right")
    yield shared_redis
    shared_redis.client.execute_command("AUTH", "right")
    shared_redis.client.config_set("requirepass", "")


def advise(url, folder):
    state = open_state(directory=folder, redis_url=url)
    try:
        with pytest.raises(DatabaseUnavailable) as caught:
            state.check()
    finally:
        state.close()
    assert "canary" not in f"{caught.value} {caught.value.advice}"
    return caught.value.advice


@pytest.mark.parametrize("credential", ["", ":canary@", "somebody:canary@"])
def test_a_password_that_is_missing_or_wrong_is_told(guarded, tmp_path, credential):
    url = guarded.url.replace("redis://", f"redis://{credential}")

    assert advise(url, tmp_path) == "Redis refuses the user or password: check REDIS_URL"


def test_a_database_that_there_is_not_is_told(shared_redis, tmp_path):
    assert "no database of that number" in advise(shared_redis.url.replace("/0", "/99"), tmp_path)


@pytest.mark.parametrize("url", ["redis://:canary@127.0.0.1:1", "redis://nowhere.invalid", "unix:///nowhere.sock"])
def test_a_redis_that_is_not_there_is_told(tmp_path, url):
    assert "check that it runs" in advise(url, tmp_path)


def test_a_replica_and_a_full_memory_are_told(shared_redis, tmp_path, monkeypatch):
    for error, part in ((redis.ReadOnlyError(), "replica"), (redis.OutOfMemoryError(), "maxmemory")):
        monkeypatch.setattr("redis.Redis.get", lambda *_, error=error: (_ for _ in ()).throw(error))
        assert part in advise(shared_redis.url, tmp_path)
