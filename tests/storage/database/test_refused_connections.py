"""A database that refuses its user: the operator is told why, and never with the password."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from app.storage.database.database import DatabaseUnavailable, open_database


@pytest.fixture(scope="module")
def with_stranger(postgres_server):
    """A server with a user that needs a password, and may write nothing."""
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'right'")
        (path,) = connection.execute("SHOW hba_file").fetchone()
        rules = Path(path).read_text("utf-8")
        Path(path).write_text(f"local all stranger scram-sha-256\n{rules}", "utf-8")
        connection.execute("SELECT pg_reload_conf()")
    return postgres_server.directory


@pytest.mark.parametrize(
    ("user", "database", "part"),
    [
        ("stranger:canary", "postgres", "refuses the password"),
        ("stranger", "postgres", "refuses the password"),
        ("stranger:right", "nowhere", "no such database"),
        ("nobody", "postgres", "refuses the user"),
        ("stranger:right", "postgres", "the user of DATABASE_URL may not write"),
    ],
)
def test_a_refused_user_is_told_with_what_to_check(with_stranger, tmp_path, user, database, part):
    refused = open_database(f"postgresql://{user}@/{database}?host={with_stranger}", tmp_path)
    try:
        with pytest.raises(DatabaseUnavailable) as caught:
            refused.migrate()
    finally:
        refused.close()

    assert part in caught.value.advice
    assert "canary" not in f"{caught.value} {caught.value.advice}"


def test_a_server_that_is_not_there_is_told(tmp_path):
    away = open_database("postgresql://u:canary@/postgres?host=/nowhere", tmp_path)
    with pytest.raises(DatabaseUnavailable) as caught:
        away.migrate()

    assert "check that it runs" in caught.value.advice


def test_an_option_that_nobody_knows_is_told_before_anything_connects(tmp_path):
    with pytest.raises(ValueError, match='DATABASE_URL: invalid connection option "colour"'):
        open_database("postgresql://u:canary@127.0.0.1/d?colour=red", tmp_path)


@pytest.mark.parametrize(
    "url", ["gatehouse.sqlite3", "sqlite:/x", "postgresql://u:canary@h:port/d", "jdbc:postgresql://h"]
)
def test_what_is_no_url_is_told_with_how_to_write_it(tmp_path, url):
    with pytest.raises(ValueError, match=r"DATABASE_URL is not a URL such as .*%40") as caught:
        open_database(url, tmp_path)

    assert "ary" not in str(caught.value)
