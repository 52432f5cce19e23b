"""Fixtures of databases of each kind, for the conftest of each folder whose tests need one.

Each conftest that imports a fixture has it for itself. So what lasts for the session is kept with pytest's configuration,
where all of them find it: to start a server and make its tables takes a second.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.storage.database.database import Database, open_database
from tests.fakes.storage import stores
from tests.fakes.storage.stores import PostgresDatabase, PostgresServer, SqliteFile, Store

_SERVER = pytest.StashKey[PostgresServer]()
_FILE = pytest.StashKey[Path]()
_DATABASE = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> PostgresServer:
    """The only server of this process, which is removed at its end."""
    stash = pytestconfig.stash
    if _SERVER not in stash:
        stack = ExitStack()
        stash[_SERVER] = stack.enter_context(stores.postgres_server())
        pytestconfig.add_cleanup(stack.close)
    return stash[_SERVER]


@pytest.fixture(scope="session")
def migrated_file(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with all tables, and nothing in them: to make them takes longer than most tests do."""
    stash = pytestconfig.stash
    if _FILE not in stash:
        path = tmp_path_factory.mktemp("migrated") / "ledger.sqlite3"
        _migrate(SqliteFile(path))
        stash[_FILE] = path
    return stash[_FILE]


@pytest.fixture(scope="session")
def migrated_database(pytestconfig: pytest.Config, postgres_server: PostgresServer) -> str:
    """The name of a database with all tables, and nothing in them."""
    stash = pytestconfig.stash
    if _DATABASE not in stash:
        database = PostgresDatabase(postgres_server)
        _migrate(database)
        stash[_DATABASE] = database.name
    return stash[_DATABASE]


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


on_postgresql_thoroughly = pytest.mark.parametrize(
    "store", ["sqlite", pytest.param("postgresql", marks=pytest.mark.thorough)], indirect=True
)
"""For a test of what is the same SQL for both stores: on SQLite in `make test`, on both in `make thorough`."""
