"""Migrate the tables to the newest revision, in one process at a time."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect

from app.database.driver import Driver
from app.runtime import clock

SCRIPTS = Path(__file__).parent / "migrations"
NEW_SQLITE = SCRIPTS / "new_sqlite.sql"
"""What all migrations together make of an empty file; a test compares the two."""

_READ_S = 1.8

log = logging.getLogger("app.ledger")


def find_newest_revision() -> str:
    """Return the revision that the code expects, from the file names: loading the files would take time."""
    return list_migrations()[-1].partition("_")[0]


def list_migrations() -> list[str]:
    """Return the names of all migrations, the oldest first."""
    return sorted(file.stem for file in (SCRIPTS / "versions").glob("[0-9]*_*.py"))


def migrate(driver: Driver) -> None:
    """Bring the tables up to date. Newer tables stay: a newer version may be rolled back just now."""
    newest = find_newest_revision()
    with driver.engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        driver.begin(raw, clock.ticks() + _READ_S, writes=False)
        found = read_revision(connection)
        raw.rollback()
        if found >= newest:
            return
        driver.begin_migration(connection)
        try:
            found = read_revision(connection)
            if found < newest:  # no other process was faster
                if not found and driver.name == "sqlite":
                    _create(raw)
                else:
                    upgrade(connection)
                log.info("ledger.migrated", extra={"from": found or "nothing", "to": newest})
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")


def read_revision(connection: Connection) -> str:
    """Return the revision of the tables, "" if there are none. Revisions are numbers of the same length."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or "")


def _create(raw: Any) -> None:
    """Create the newest tables without alembic, which takes 0.1 s and 11 MiB of each worker that loads it."""
    for statement in NEW_SQLITE.read_text(encoding="utf-8").split(";\n"):
        raw.execute(statement)


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, within the transaction of a connection."""
    # Imported here: loading alembic takes longer than all the rest and is rarely needed.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
