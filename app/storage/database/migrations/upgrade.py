"""Run the migrations with Alembic, which needs a SQLAlchemy connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from app.runtime import clock, sqlite
from app.storage.database.driver import Driver

_SCRIPTS = Path(__file__).parent
_CONNECT_S = 1.8


@contextmanager
def wrap_connection(driver: Driver, raw: Any) -> Iterator[Connection]:
    """Yield a driver's connection as one of SQLAlchemy.

    Enter the context before the transaction begins, and leave it after its end. Errors within the block are raised as
    the driver's own.
    """
    of_kind: dict[str, Any] = (
        {"url": "sqlite://", "module": sqlite.dbapi}
        if driver.name == "sqlite"
        else {"url": "postgresql+psycopg://", "use_native_hstore": False}
    )
    engine = create_engine(
        **of_kind,
        creator=lambda: raw,
        poolclass=StaticPool,
        pool_reset_on_return=None,
        isolation_level="AUTOCOMMIT",
    )
    # SQLAlchemy queries the server's features. It gets a new deadline, as loading it has used up part of the last one.
    driver.prepare(raw, clock.ticks() + _CONNECT_S)
    try:
        with engine.connect() as connection:
            connection.begin()  # sends nothing, but with it Alembic does not commit
            yield connection
    except DBAPIError as error:
        raise error.orig or error from error


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the pending migrations, within the transaction of a connection."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
