"""What `flask doctor` says of a real PostgreSQL that cannot be used: why not, what to do, and no password."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from app.cli.doctor import database
from app.cli.doctor.finding import Finding
from app.config import Config
from app.storage.database.database import open_database
from tests.fakes.storage.databases import migrated_database, postgres_server, store
from tests.fakes.storage.stores import PostgresServer
from tests.fakes.upstreams.raw_server import port_of_something_else

__all__ = ["migrated_database", "postgres_server", "store"]

PASSWORD = "canary-of-postgres"
RULES = """
local all gatehouse trust
hostssl all encrypted 127.0.0.0/8 scram-sha-256
host all kept_out 127.0.0.0/8 reject
host all owner,reader,nobody 127.0.0.0/8 scram-sha-256
"""


@pytest.fixture(scope="module")
def address(postgres_server: PostgresServer) -> Iterator[str]:
    """That of the server, which takes few connections, and asks for passwords there."""
    server = postgres_server
    address = f"127.{random.randrange(1, 255)}.{random.randrange(255)}.2"  # of this run's own, as the port is the usual one
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        for user in ("owner", "reader", "encrypted", "kept_out"):
            connection.execute(f"CREATE USER {user} PASSWORD '{PASSWORD}'")
        connection.execute("CREATE DATABASE kept OWNER owner")
        connection.execute("CREATE DATABASE read_only OWNER owner")
        connection.execute("ALTER DATABASE read_only SET default_transaction_read_only = on")
    rules = server.directory / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(RULES)
    server.stop()
    server.start(f"-c listen_addresses={address} -c max_connections=7")
    yield address
    server.stop()
    rules.write_text(before)
    server.start()


@pytest.fixture
def look(address: str, tmp_path: Path) -> Callable[..., list[Finding]]:
    def look(user: str = "owner", name: str = "kept", password: str = PASSWORD, **query: str) -> list[Finding]:
        options = "&".join(f"{key}={value}" for key, value in query.items())
        url = f"postgresql+psycopg://{user}:{password}@{address}/{name}?{options}"
        found = list(database.check_database(tmp_path, Config(database_url=url, web_concurrency=2)))
        assert "canary" not in str(found)
        return found

    return look


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        ({"password": "canary-wrong"}, "password authentication failed", "refuses the password"),
        ({"password": ""}, "no password supplied", "refuses the password"),
        ({"user": "nobody"}, "password authentication failed", "check DATABASE_URL"),
        ({"name": "absent"}, 'database "absent" does not exist', "has no such database"),
        ({"user": "encrypted", "sslmode": "disable"}, "no pg_hba.conf entry", "?sslmode=require"),
        ({"user": "kept_out"}, "pg_hba.conf rejects connection", "pg_hba.conf"),
        ({"sslmode": "require"}, "does not support SSL", "does not offer TLS"),
        ({"sslmode": "canary"}, "invalid sslmode value", "an option of DATABASE_URL"),
        ({"user": "reader"}, "42501", "make it the owner"),
        ({"name": "read_only"}, "25006", "set DATABASE_URL to the primary"),
    ],
)
def test_what_keeps_it_from_being_used(look, options, words, hint):
    (found,) = look(**options)
    assert found.state == "fault"
    assert words in found.sentence
    assert hint.lower() in found.hint.lower()


def test_tables_are_not_made_by_a_look(look, postgres_server):
    found = look()
    assert found[0].state == "ok"
    assert "the first start creates its tables" in found[0].sentence
    with psycopg.connect(postgres_server.url("kept")) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_fewer_connections_than_the_workers_may_open(look):
    (warned,) = [each for each in look() if each.state == "warning"]
    assert "PostgreSQL allows 4 connections; the 2 workers of this machine may open 16." in warned.sentence


def test_a_clock_that_differs(look, monkeypatch):
    assert [each.state for each in look() if each.check == "clock"] == ["ok"]
    monkeypatch.setattr("app.storage.database.inspection.time.time", lambda: 0.0)
    assert [each.state for each in look() if each.check == "clock"] == ["fault"]


def test_connections_that_others_have_taken(look, address):
    url = f"postgresql://owner:{PASSWORD}@{address}/kept"
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(psycopg.connect(url))
        (found,) = look()
    assert (found.state, "max_connections" in found.hint) == ("fault", True)


@pytest.mark.parametrize(
    ("answer", "words", "hint"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "invalid response", "The server at this address is not PostgreSQL"),
        (None, "timeout", "cannot be reached"),
    ],
)
def test_something_else_at_the_port(tmp_path, answer, words, hint):
    with port_of_something_else(answer) as port:
        config = Config(database_url=f"postgresql://me:canary@127.0.0.1:{port}/kept")
        (found,) = database.check_database(tmp_path, config)
    assert found.state == "fault"
    assert words in found.sentence
    assert hint in found.hint
    assert "canary" not in str(found)


def test_old_tables_are_left_for_the_next_start(tmp_path, store):
    opened = open_database(store.url, tmp_path)
    opened.migrate()
    with opened.transaction() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    opened.close()
    for _ in range(2):
        found = list(database.check_database(tmp_path, Config(database_url=store.url)))
        assert found[0].state == "ok"
        assert "the next start upgrades its tables from revision 0001 to" in found[0].sentence
