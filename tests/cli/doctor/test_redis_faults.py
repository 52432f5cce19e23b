"""What `flask doctor` says of a real Redis that cannot be used: why not, what to do, and no password."""

from __future__ import annotations

import pytest

from app.cli.doctor.redis_server import check_redis
from app.config import Config
from tests.fakes.storage.redis_server import RedisServer, redis_server
from tests.fakes.upstreams.raw_server import port_of_something_else

PASSWORD = "canary-of-redis"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(server: RedisServer):
    """The server, whose settings are put back after each test."""
    client = server.client
    yield client
    for name, value in (("requirepass", ""), ("maxmemory", "0"), ("maxmemory-policy", "noeviction")):
        client.config_set(name, value)
    client.config_set("maxclients", "1000")
    client.replicaof("NO", "ONE")
    client.flushall()


def look(url: str):
    found = list(check_redis(Config(redis_url=url)))
    assert "canary" not in str(found)
    assert all(each.hint for each in found if each.state != "ok")
    found = [each for each in found if (each.check, each.state) != ("clock", "ok")]
    return [
        (each.state, each.sentence.partition(f":{url.rpartition(':')[2].partition('/')[0]} ")[2]) for each in found
    ]


def test_one_that_works_keeps_nothing_of_the_look(redis, server):
    assert look(server.url) == [("ok", "answers, and can be written.")]
    assert redis.ttl("gatehouse:doctor") in (-2, 0, 1), "-2 is gone, -1 would be for ever"


def test_passwords(redis, server):
    address = server.url.removeprefix("redis://")
    assert look(f"redis://:canary@{address}") == [("fault", "has no password, and REDIS_URL has one.")]
    redis.config_set("requirepass", PASSWORD)
    redis.auth(PASSWORD)
    assert look(f"redis://:{PASSWORD}@{address}") == [("ok", "answers, and can be written.")]
    assert look(server.url) == [("fault", "requires a password, and REDIS_URL has none.")]
    for login in (":canary", f"bob:{PASSWORD}"):
        assert look(f"redis://{login}@{address}") == [("fault", "refuses the password.")]


def test_a_user_without_the_right_to_write(redis, server):
    redis.acl_setuser("reader", enabled=True, passwords=[f"+{PASSWORD}"], commands=["+ping"], keys=["*"])
    url = server.url.replace("redis://", f"redis://reader:{PASSWORD}@")
    assert look(url) == [("fault", "does not let the user of REDIS_URL write.")]


def test_a_database_that_is_not_there(server):
    assert look(server.url.replace("/0", "/99")) == [("fault", "has no database with that number.")]


def test_one_that_throws_entries_away(redis, server):
    redis.config_set("maxmemory", "200mb")
    assert [state for state, _ in look(server.url)] == ["ok"]
    redis.config_set("maxmemory-policy", "allkeys-lru")
    _, (state, sentence) = look(server.url)
    assert (state, "allkeys-lru" in sentence) == ("warning", True)


def test_one_that_is_full_and_a_replica(redis, server):
    redis.config_set("maxmemory", "1")
    assert look(server.url) == [("fault", "is full.")]
    redis.config_set("maxmemory", "0")
    redis.replicaof("127.0.0.1", "1")
    ((state, sentence),) = look(server.url)
    assert (state, sentence.startswith("is a read-only replica")) == ("fault", True)


def test_too_many_connections(redis, server):
    redis.config_set("maxclients", "1")
    for _ in range(3):  # it may be heard before or after the first request
        assert look(server.url) == [("fault", "has too many connections.")]


def test_tls_where_there_is_none(server):
    ((state, sentence),) = look(server.url.replace("redis://", "rediss://"))
    assert (state, "with TLS" in sentence) == ("fault", True)


def test_a_clock_that_differs(server, monkeypatch):
    monkeypatch.setattr("app.cli.doctor.redis_server.time.time", lambda: 0.0)
    assert [each.state for each in check_redis(Config(redis_url=server.url)) if each.check == "clock"] == ["fault"]


def test_something_else_at_the_port():
    with port_of_something_else(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        (found,) = check_redis(Config(redis_url=f"redis://:canary@127.0.0.1:{port}/0"))
    assert found.state == "fault"
    assert "is not Redis" in found.sentence
    assert "canary" not in str(found)
