"""Migrate the tables to the newest revision, in one process at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from app.runtime import clock
from app.storage.database.driver import Driver

SCRIPTS = Path(__file__).parent / "migrations"
NEW_SQLITE = SCRIPTS / "new_sqlite.sql"
"""The schema that all migrations together create in an empty file. A test compares the two."""

_READ_S = 1.8
_FIND_TABLE = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'",
    "postgresql": "SELECT 1 WHERE to_regclass('alembic_version') IS NOT NULL",
}

log = logging.getLogger("app.ledger")


def find_newest_revision() -> str:
    """Return the newest revision that this version knows, by the file names: loading the files would take time."""
    return list_migrations()[-1].partition("_")[0]


@cache
def list_migrations() -> tuple[str, ...]:
    """Return the names of all migrations, the oldest first."""
    return tuple(sorted(file.stem for file in (SCRIPTS / "versions").glob("[0-9]*_*.py")))


def migrate(driver: Driver) -> None:
    """Migrate the tables to the newest revision. Newer tables are not changed: an upgrade may be in rollback."""
    newest = find_newest_revision()
    with driver.pool.lend() as raw:
        driver.begin(raw, clock.ticks() + _READ_S, writes=False)
        found = read_revision(driver, raw)
        raw.rollback()
        if found >= newest:
            return
        with _prepare(driver, raw, found) as make:
            driver.begin_migration(raw)
            was_faster = read_revision(driver, raw) != found
            if not was_faster:
                make()
                log.info("ledger.migrated", extra={"from": found or "nothing", "to": newest})
            raw.execute("COMMIT")
    if was_faster:  # another process has migrated, perhaps one of an older version
        migrate(driver)


def read_revision(driver: Driver, raw: Any) -> str:
    """Return the revision of the tables; "" if there are none. Revisions are numbers of the same length."""
    if raw.execute(_FIND_TABLE[driver.name]).fetchone() is None:
        return ""
    row = raw.execute("SELECT version_num FROM alembic_version").fetchone()
    return "" if row is None else str(row[0])


@contextmanager
def _prepare(driver: Driver, raw: Any, found: str) -> Iterator[Callable[[], None]]:
    """Yield the function that migrates the tables. The caller begins the transaction and then calls it."""
    if not found and driver.name == "sqlite":
        yield partial(_create, raw)
        return
    # Imported here: Alembic and SQLAlchemy take 0.2 s of CPU and 22 MiB of a worker that loads them, and are rarely needed.
    from app.storage.database.migrations.upgrade import upgrade, wrap_connection

    with wrap_connection(driver, raw) as connection:
        yield partial(upgrade, connection)


def _create(raw: Any) -> None:
    """Create the newest tables without Alembic."""
    for statement in NEW_SQLITE.read_text(encoding="utf-8").split(";\n"):
        raw.execute(statement)
