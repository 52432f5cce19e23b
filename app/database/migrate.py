"""migrate: from the tables that there are to those that the code expects, by one process at a time."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect

from app.database.driver import Driver
from app.runtime import clock

SCRIPTS = Path(__file__).parent / "migrations"

_READ_S = 1.8

log = logging.getLogger("app.ledger")


def newest_revision() -> str:
    """The revision that the code expects. A file's name begins with its revision, so that none has to be loaded."""
    return max(file.name.partition("_")[0] for file in (SCRIPTS / "versions").glob("[0-9]*_*.py"))


def migrate(driver: Driver) -> None:
    """Bring the tables up to date. A newer version's tables are left as they are: it may be on its way out."""
    newest = newest_revision()
    with driver.engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        driver.begin(raw, clock.ticks() + _READ_S, writes=False)
        found = _read_revision(connection)
        raw.rollback()
        if found >= newest:
            return
        driver.begin_migration(connection)
        try:
            found = _read_revision(connection)
            if found < newest:  # nobody was faster
                _upgrade(connection)
                log.info("ledger.migrated", extra={"from": found or "nothing", "to": newest})
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")


def _read_revision(connection: Connection) -> str:
    """What the tables are now; nothing where there are none. Revisions are numbers of the same length."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or "")


def _upgrade(connection: Connection) -> None:
    # Loading alembic takes longer than all the rest, and nearly always there is nothing to do.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
