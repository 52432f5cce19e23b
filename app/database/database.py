"""Database: transactions on SQLite or PostgreSQL that end within two seconds, well or badly."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.database import migrate as migrating
from app.database.driver import Driver
from app.database.sqlite_driver import SqliteDriver
from app.runtime import clock, process
from app.runtime.store_guard import Contended, DatabaseUnavailable, StoreGuard

__all__ = ["Contended", "Database", "DatabaseUnavailable", "open_database"]

log = logging.getLogger("app.ledger")

PATIENCE_S = 1.8
"""How long a transaction may take in all. Nothing but statements belongs into one."""


def open_database(url: str, root: Path) -> Database:
    """The database of a URL: sqlite:///path (relative to `root`, or absolute after a fourth slash), postgresql://…

    Nothing is opened before it is needed, so this works while the store is away.

    Raises:
        ValueError: the URL is of no kind that is known. The message holds nothing of it.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("DATABASE_URL is not a URL") from None
    kind = parsed.drivername.partition("+")[0]
    if kind == "sqlite" and parsed.database and parsed.database != ":memory:":
        return Database(SqliteDriver(root / parsed.database))
    if kind in ("postgresql", "postgres"):
        from app.database.postgres_driver import PostgresDriver  # only who uses it shall pay for loading psycopg

        return Database(PostgresDriver(parsed))
    raise ValueError("DATABASE_URL must begin with sqlite:/// and name a file, or with postgresql://")


class Database:
    """Hands out transactions. A store that failed is left alone for a second: see StoreGuard."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._guard = _guard_of(driver)
        self._pid = process.pid
        self._of_parents: list[Any] = []
        self._owes_migration = True
        self._writer: Connection | None = None  # where there is one at a time, it is kept: see _open_once()
        self._raw_writer: Any = None
        self._writers_set_up: tuple[str, ...] = ()

    def transaction(self, within_s: float = PATIENCE_S) -> AbstractContextManager[Connection]:
        """A transaction that writes: committed at the end of the block, rolled back where that raises.

        Raises:
            DatabaseUnavailable: the store did not do it in time, wherever in the block that came out.
        """
        return self._transaction(within_s, writes=True)

    def read_transaction(self, within_s: float = PATIENCE_S) -> AbstractContextManager[Connection]:
        """A transaction that only reads, and sees the tables as they were at one moment. Raises DatabaseUnavailable."""
        return self._transaction(within_s, writes=False)

    def execute(self, sql: str, values: Sequence[Any], within_s: float = PATIENCE_S) -> int:
        """Run one statement that is a transaction of its own, and return how many rows it changed or found.

        Raises:
            DatabaseUnavailable: as in a transaction.
        """
        deadline = clock.ticks() + within_s
        is_trial = self._enter()
        is_sent = False
        try:
            with self.driver.acquire_turn(deadline, writes=True):
                self._guard.recheck(is_trial)
                connection, raw = self._open(lambda raw: self.driver.prepare(raw, deadline), deadline, writes=True)
                is_sent = True
                try:
                    count = self.driver.execute(raw, sql, values, deadline)
                except BaseException:
                    self._abandon(connection)
                    raise
                if connection is not self._writer:
                    connection.close()
        except BaseException as error:
            self._fail(error, is_trial=is_trial, is_unsure=is_sent)
            raise
        self._guard.succeeded()
        return count

    def set_up_writers(self, statements: Sequence[str]) -> None:
        """Have statements run on the connection that writes, before its first change; where there is one at a time."""
        self._writers_set_up = tuple(statements)
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def sql(self, text: str) -> str:
        """A statement's text, in which each `?` stands for a value, as the store's own connections take it."""
        return text.replace("?", self.driver.placeholder)

    def migrate(self) -> None:
        """Make the tables what this version of the code expects; cheap where they are already.

        Raises:
            DatabaseUnavailable: that could not be done now. The next transaction tries it again.
        """
        self._owes_migration = True
        self._adopt()
        try:
            self.driver.create()
            with self.driver.acquire_turn(clock.ticks() + PATIENCE_S, writes=False):
                migrating.migrate(self.driver)
        except OSError as error:
            raise DatabaseUnavailable(type(error).__name__) from error
        except Exception as error:
            raise self._translate(error) or error from error
        self._owes_migration = False

    def check(self) -> None:
        """Raise DatabaseUnavailable unless the store would take a change now."""
        with self.transaction() as connection:
            connection.exec_driver_sql("SELECT 1")

    def checkpoint(self) -> None:
        """What somebody has to do about once a second. Raises DatabaseUnavailable."""
        self._adopt()
        try:
            self.driver.checkpoint()
        except Exception as error:
            raise self._translate(error) or error from error

    def close(self) -> None:
        self._writer = None
        self.driver.close()

    @contextmanager
    def _transaction(self, within_s: float, *, writes: bool) -> Iterator[Connection]:
        deadline = clock.ticks() + within_s
        is_trial = self._enter()
        is_committing = False
        try:
            with self.driver.acquire_turn(deadline, writes=writes):
                self._guard.recheck(is_trial)
                connection, raw = self._open(
                    lambda raw: self.driver.begin(raw, deadline, writes=writes), deadline, writes=writes
                )
                try:
                    yield connection
                    is_committing = True
                    self.driver.commit(raw, deadline)
                except BaseException:
                    self._abandon(connection)
                    raise
                self._put_back(connection)
        except BaseException as error:
            self._fail(error, is_trial=is_trial, is_unsure=is_committing)
            raise
        self._guard.succeeded()

    def _enter(self) -> bool:
        """Tell whether the caller tries a store that is away. Raises DatabaseUnavailable."""
        if self._pid != process.pid:
            self._adopt()
        is_trial = self._guard.enter()
        if self._owes_migration:
            self._migrate_late()
        return is_trial

    def _fail(self, error: BaseException, *, is_trial: bool, is_unsure: bool) -> None:
        """Raise DatabaseUnavailable where an error means that; and tell the guard."""
        unavailable = self._translate(error)
        if unavailable is None:
            if is_trial and isinstance(error, Exception):
                self._guard.succeeded()
            return
        # Where the driver itself gave up, nothing was done.
        unavailable.is_unsure = is_unsure and unavailable is not error and not isinstance(unavailable, Contended)
        if not isinstance(unavailable, Contended):
            self._guard.failed(str(unavailable))
        raise unavailable from error

    def _open(self, make_ready: Callable[[Any], None], deadline: float, *, writes: bool) -> tuple[Connection, Any]:
        try:
            return self._open_once(make_ready, deadline, writes=writes)
        except Exception as error:
            unavailable = self._translate(error)
            if unavailable is None or isinstance(unavailable, Contended) or clock.ticks() + 0.5 > deadline:
                raise
            # A kept connection may have died with a server that is back by now, or with a file that was moved.
            self._writer = None
            self.driver.engine.dispose()
            return self._open_once(make_ready, deadline, writes=writes)

    def _open_once(
        self, make_ready: Callable[[Any], None], deadline: float, *, writes: bool
    ) -> tuple[Connection, Any]:
        # A pool's rounds cost as much as the transaction itself, in SQLite.
        connection, raw = (self._writer, self._raw_writer) if writes else (None, None)
        is_new = connection is None
        if connection is None:
            connection = self.driver.engine.connect()
        try:
            if is_new:
                raw = connection.connection.driver_connection
                if writes and self.driver.has_one_writer:
                    self._keep_writer(connection, raw, deadline)
            make_ready(raw)
        except BaseException:
            self._abandon(connection)
            raise
        return connection, raw

    def _keep_writer(self, connection: Connection, raw: Any, deadline: float) -> None:
        for statement in self._writers_set_up:
            self.driver.execute(raw, statement, (), deadline)
        self._writer, self._raw_writer = connection, raw

    def _put_back(self, connection: Connection) -> None:
        if connection is self._writer:
            connection.rollback()  # SQLAlchemy's own idea of a transaction, if statements went through it
        else:
            connection.close()

    def _abandon(self, connection: Connection) -> None:
        """Roll back, and keep the connection only where that works."""
        with suppress(Exception):
            raw: Any = connection.connection.driver_connection
            raw.rollback()
            self._put_back(connection)
            return
        if connection is self._writer:
            self._writer = None
        with suppress(Exception):
            connection.invalidate()
        with suppress(Exception):
            connection.close()

    def _translate(self, error: BaseException) -> DatabaseUnavailable | None:
        if isinstance(error, DatabaseUnavailable):
            return error
        if isinstance(error, PoolTimeout):
            return Contended("contended")
        fault = self.driver.classify_error(error.orig if isinstance(error, DBAPIError) and error.orig else error)
        if fault is None:
            return None
        reason, is_well = fault
        return Contended(reason) if is_well else DatabaseUnavailable(reason)

    def _migrate_late(self) -> None:
        try:
            self.migrate()
        except DatabaseUnavailable as error:
            self._guard.failed(str(error))
            raise

    def _adopt(self) -> None:
        """After a fork: the parent's connections are its own, and closing one here could harm its file."""
        if self._pid != process.pid:
            self._of_parents.append(self.driver.engine.pool)
            self._of_parents.append(self._writer)
            self._writer = None
            self.driver.engine.dispose(close=False)
            self._guard = _guard_of(self.driver)
            self._pid = process.pid


def _guard_of(driver: Driver) -> StoreGuard:
    # What cannot be written down is refused, so somebody has to hear of it.
    return StoreGuard(driver.name, log=log, events="ledger.store_", level=logging.ERROR)
