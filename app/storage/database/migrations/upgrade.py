"""Run the migrations with Alembic, which needs a connection of SQLAlchemy's."""

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
_ASK_S = 1.8


@contextmanager
def wrap_connection(driver: Driver, raw: Any) -> Iterator[Connection]:
    """Yield SQLAlchemy's view of a driver's connection, to be made before a transaction and ended after it.

    What fails within the block raises the driver's own errors.
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
    # SQLAlchemy asks what the server can do. To load all this took a part of the time that there was.
    driver.prepare(raw, clock.ticks() + _ASK_S)
    try:
        with engine.connect() as connection:
            connection.begin()  # sends nothing, but Alembic leaves it to others to commit
            yield connection
    except DBAPIError as error:
        raise error.orig or error from error


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations that are missing, within the transaction of a connection."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
