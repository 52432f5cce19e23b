"""Fixtures of databases of each kind, for the conftest of each folder whose tests need one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.storage.database.database import Database, open_database
from tests.fakes.storage import stores
from tests.fakes.storage.stores import PostgresDatabase, PostgresServer, SqliteFile, Store


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with stores.postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all tables, and nothing in them: to make them takes longer than most tests do."""
    path = tmp_path_factory.mktemp("migrated") / "ledger.sqlite3"
    _migrate(SqliteFile(path))
    return path


@pytest.fixture(scope="session")
def migrated_database(postgres_server: PostgresServer) -> str:
    """The name of a database with all tables, and nothing in them."""
    database = PostgresDatabase(postgres_server)
    _migrate(database)
    return database.name


def _migrate(store: Store) -> None:
    database = open_database(store.url, Path())
    database.migrate()
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store of each kind: without tables, unless the test takes a `database`."""
    has_tables = "database" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "own" / "ledger.sqlite3"
        if has_tables:
            path.parent.mkdir()
            shutil.copy(request.getfixturevalue("migrated_file"), path)
        yield SqliteFile(path)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    template = request.getfixturevalue("migrated_database") if has_tables else "template1"
    database = PostgresDatabase(server, template)
    yield database
    server.drop_database(database.name)


@pytest.fixture
def database(store: Store, tmp_path: Path) -> Iterator[Database]:
    database = open_database(store.url, tmp_path)
    database.migrate()
    yield database
    database.close()
