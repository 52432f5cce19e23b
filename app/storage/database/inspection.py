"""Say which revision a database's tables have, and whether its data is whole, without changing anything."""

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

# What an account holds is what its pending entries hold. An account of a budget that was never held has no row.
_HELD_BY_NOBODY = """
SELECT count(*) FROM accounts
WHERE (held_micro_usd <> 0 OR held_tokens <> 0) AND NOT EXISTS (SELECT 1 FROM entries WHERE state = 'pending')
"""

_ASK_POSTGRES = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
    extract(epoch FROM clock_timestamp())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found.

    Attributes:
        kind: sqlite or postgresql.
        revision: of the tables; empty if there are none.
        newest: that this version knows.
        pending: the migrations that an upgrade runs.
        faults: what is wrong with the data.
    """

    kind: str
    revision: str
    newest: str
    pending: tuple[str, ...]
    faults: tuple[str, ...]

    @property
    def is_newer(self) -> bool:
        """Whether the tables are of a newer version."""
        return self.revision > self.newest


def inspect_database(database: Database, *, deep: bool = True) -> Inspection:
    """Return what is found; without `deep`, the revision only. Raises DatabaseUnavailable."""
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
            (held,) = raw.execute(_HELD_BY_NOBODY).fetchone()
            faults += [f"{held} accounts hold what no entry holds"] if held else []
    return _make(driver.name, revision, tuple(faults))


def try_to_write(database: Database, found: Inspection) -> None:
    """Write without changing anything; as a migration does, if one is pending. Raises DatabaseUnavailable."""
    driver = database.driver
    with _connection(driver) as (raw, deadline):
        driver.prepare(raw, deadline)
        if found.pending:
            raw.execute("BEGIN")  # not that of the driver, which would ask PostgreSQL to write where it only reads
            raw.execute("CREATE TABLE gatehouse_doctor (number INTEGER)")
        else:
            driver.execute(raw, "UPDATE alembic_version SET version_num = version_num", (), deadline)


def ask_postgres(database: Database) -> tuple[int, float]:
    """Return how many connections PostgreSQL has for others than its administrators, and how far our clock is ahead.

    Raises:
        DatabaseUnavailable: it does not answer.
    """
    with _connection(database.driver) as (raw, deadline):
        database.driver.begin(raw, deadline, writes=False)
        connections, now = raw.execute(_ASK_POSTGRES).fetchone()
        return int(connections), time.time() - float(now)


@contextmanager
def _connection(driver: Driver) -> Iterator[tuple[Any, float]]:
    """Open one, and roll back what is done in it. Those of Database bring the tables up to date, which is not a look."""
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
