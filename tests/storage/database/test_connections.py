"""Connections that are kept open and lent, the URL they lead to, and statements composed of parts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from app.runtime.store_guard import Contended
from app.storage.database.connections.pool import Pool
from app.storage.database.connections.sql import Where, name_columns, write_marks, write_upsert
from app.storage.database.connections.url import parse_url


class Raw:
    is_open = True

    def close(self):
        self.is_open = False


@pytest.fixture
def pool():
    return Pool(Raw, size=2, timeout_s=0.01)


def test_the_connection_used_last_is_lent_next(pool):
    first, second = pool.take(), pool.take()
    pool.give_back(second)
    pool.give_back(first)

    assert pool.take() is first
    assert pool.take() is second


def test_there_are_no_more_connections_than_so_many(pool):
    pool.take()
    last = pool.take()
    with pytest.raises(Contended):
        pool.take()

    pool.discard(last)

    assert not last.is_open
    assert pool.take() is not last


def test_an_attempt_to_connect_that_fails_takes_no_place():
    def refuse():
        raise OSError("refused")

    pool = Pool(refuse, size=1, timeout_s=0.01)
    for _ in range(3):
        with pytest.raises(OSError, match="refused"):
            pool.take()


def test_a_connection_is_closed_after_a_block_that_raises(pool):
    with pytest.raises(ZeroDivisionError), pool.lend() as raw:
        raise ZeroDivisionError

    assert not raw.is_open
    with pool.lend() as other:
        pass
    assert other is not raw
    assert other.is_open


def test_all_connections_are_closed_those_in_use_when_they_come_back(pool):
    lent, idle = pool.take(), pool.take()
    pool.give_back(idle)

    pool.dispose()

    assert (lent.is_open, idle.is_open) == (True, False)
    pool.give_back(lent)
    assert not lent.is_open
    fresh = [pool.take(), pool.take()]
    assert all(raw.is_open for raw in fresh)


def test_a_parents_connections_are_left_as_they_are(pool):
    lent, idle = pool.take(), pool.take()
    pool.give_back(idle)

    forgotten = pool.forget()

    assert {*forgotten} == {lent, idle}
    assert lent.is_open
    assert idle.is_open
    assert not {pool.take(), pool.take()} & {lent, idle}


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("sqlite:///instance/a.sqlite3", ("sqlite", None, None, None, None, "instance/a.sqlite3", {})),
        ("sqlite:////var/lib/a%20b.sqlite3", ("sqlite", None, None, None, None, "/var/lib/a b.sqlite3", {})),
        ("sqlite://", ("sqlite", None, None, None, None, None, {})),
        (
            "postgresql://ann:p%40ss#w?rd/@db.example:5433/led%2Fger?sslmode=require&host=%2Frun",
            (
                "postgresql",
                "ann",
                "p@ss#w?rd/",
                "db.example",
                5433,
                "led/ger",
                {"sslmode": "require", "host": "/run"},
            ),
        ),
        ("postgresql+psycopg://ann@[::1]:5432/x", ("postgresql", "ann", None, "::1", 5432, "x", {})),
        ("postgres:///x?host=/run", ("postgres", None, None, None, None, "x", {"host": "/run"})),
        ("postgresql://h:/x", ("postgresql", None, None, "h", None, "x", {})),
    ],
)
def test_a_url_has_parts(url, parts):
    found = parse_url(url)

    named = (found.kind, found.user, found.password, found.host, found.port, found.database, found.options)
    assert named == parts
    assert "p@ss" not in repr(found)


def test_conditions_are_joined_and_their_values_bound():
    where = Where({"tenant": "'; DROP TABLE entries", "user_id": None})
    assert (str(where), where.values) == ("WHERE tenant = ?", ["'; DROP TABLE entries"])
    where.add("at BETWEEN ? AND ?", 1, 2)
    assert str(where) == "WHERE tenant = ? AND at BETWEEN ? AND ?"
    assert where.values[1:] == [1, 2]
    assert not str(Where())


def test_no_values_are_in_no_list(database):
    with database.read_transaction() as connection:
        for values in ((), ("a",), ("a", "b")):
            query = f"SELECT count(*) FROM entries WHERE id IN ({write_marks(values)})"
            assert connection.fetch_value(query, values) == 0


def test_a_row_is_added_or_changed_and_read_by_name(database):
    @dataclass
    class Version:
        name: str
        version: int

    for version in (3, 4):
        with database.transaction() as connection:
            connection.execute(*write_upsert("limit_versions", {"name": "x"}, {"version": version}))
    with database.read_once() as connection:
        query = f"SELECT {name_columns(Version)} FROM limit_versions"
        assert connection.fetch_rows(query) == [{"name": "x", "version": 4}]
    with database.read_once() as connection:
        assert connection.fetch_row(f"{query} WHERE name = ?", ("y",)) is None
