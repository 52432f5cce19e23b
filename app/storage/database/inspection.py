"""Read the revision of a database's tables and check its data for damage, without changing anything."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from app.runtime import clock
from app.storage.database.database import Database, DatabaseUnavailable
from app.storage.database.driver import Driver
from app.storage.database.migrate import find_newest_revision, list_migrations, read_revision
from app.storage.database.outages import to_unavailable
from app.storage.database.sqlite_copies import find_damage
from app.storage.database.sqlite_driver import SqliteDriver

_CONNECT_S = 2.0

# An account's hold must be the sum of those of its pending entries. So without pending entries, no account may hold
# any.
_ORPHANED_HOLDS = """
SELECT count(*) FROM accounts
WHERE (held_micro_usd <> 0 OR held_tokens <> 0) AND NOT EXISTS (SELECT 1 FROM entries WHERE state = 'pending')
"""

_READ_LIMITS = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
    extract(epoch FROM clock_timestamp())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The state of a database.

    Attributes:
        kind: sqlite or postgresql.
        revision: the revision of the tables; empty if there are none.
        newest: the newest revision that this version knows.
        pending: the migrations that an upgrade would run.
        faults: sentences that say what is wrong with the data.
    """

    kind: str
    revision: str
    newest: str
    pending: tuple[str, ...]
    faults: tuple[str, ...]

    @property
    def is_newer(self) -> bool:
        """Whether the tables have a newer revision than this version knows."""
        return self.revision > self.newest


def inspect_database(database: Database, *, deep: bool = True) -> Inspection:
    """Return the state of a database. Without `deep`, the data is not checked. Raises DatabaseUnavailable."""
    driver = database.driver
    if isinstance(driver, SqliteDriver) and not driver.path.exists():
        return _make(driver.name, "", ())
    with _connection(driver) as (raw, deadline):
        driver.begin(raw, deadline, writes=False)
        revision = read_revision(driver, raw)
        faults = []
        if deep and isinstance(driver, SqliteDriver):
            faults += find_damage(raw)
        if deep and revision and not faults:
            (held,) = raw.execute(_ORPHANED_HOLDS).fetchone()
            faults += [f"{held} accounts hold what no entry holds"] if held else []
    return _make(driver.name, revision, tuple(faults))


def try_to_write(database: Database, found: Inspection) -> None:
    """Test that the database can be written, or migrated if a migration is pending; all is rolled back.

    Raises:
        DatabaseUnavailable: it cannot.
    """
    driver = database.driver
    with _connection(driver) as (raw, deadline):
        driver.prepare(raw, deadline)
        if found.pending:
            raw.execute("BEGIN")  # not driver.begin(), which would set READ WRITE on a read-only PostgreSQL
            raw.execute("CREATE TABLE gatehouse_doctor (number INTEGER)")
        else:
            driver.execute(raw, "UPDATE alembic_version SET version_num = version_num", (), deadline)


def read_postgres_limits(database: Database) -> tuple[int, float]:
    """Return how many connections PostgreSQL allows without those for superusers, and how many s our clock is ahead.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    with _connection(database.driver) as (raw, deadline):
        database.driver.begin(raw, deadline, writes=False)
        connections, now = raw.execute(_READ_LIMITS).fetchone()
        return int(connections), time.time() - float(now)


@contextmanager
def _connection(driver: Driver) -> Iterator[tuple[Any, float]]:
    """Yield a connection and its deadline, and roll back at the end. Unlike Database, do not migrate the tables."""
    try:
        with driver.pool.lend() as raw:
            try:
                yield raw, clock.ticks() + _CONNECT_S
            finally:
                raw.rollback()
    except DatabaseUnavailable:
        raise
    except Exception as error:
        raise to_unavailable(driver, error) or error from error


def _make(kind: str, revision: str, faults: tuple[str, ...]) -> Inspection:
    pending = tuple(name for name in list_migrations() if name.partition("_")[0] > revision)
    return Inspection(kind=kind, revision=revision, newest=find_newest_revision(), pending=pending, faults=faults)
