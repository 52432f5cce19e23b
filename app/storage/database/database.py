"""Run transactions on SQLite or PostgreSQL that succeed or fail within two seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from app.config.formats import NO_DATABASE_URL
from app.runtime import clock, process
from app.runtime.store_guard import Contended, DatabaseUnavailable
from app.storage.database import migrate
from app.storage.database.connections.connection import Connection
from app.storage.database.connections.url import parse_url
from app.storage.database.driver import Driver
from app.storage.database.outages import DatabaseGuard, to_unavailable
from app.storage.database.sqlite_driver import SqliteDriver

__all__ = ["Contended", "Database", "DatabaseUnavailable", "open_database"]

TIMEOUT_S = 1.8
"""How long a transaction may take. It should contain nothing but statements."""


def open_database(url: str, root: Path) -> Database:
    """Return the database of a URL; it connects on first use.

    Args:
        url: sqlite:///relative/path, sqlite:////absolute/path or postgresql://…
        root: where relative paths begin.

    Raises:
        ValueError: the URL is not one of these. No message quotes it, as it may hold a password.
    """
    try:
        parsed = parse_url(url)
    except ValueError:
        raise ValueError(f"DATABASE_URL {NO_DATABASE_URL}") from None
    if parsed.kind == "sqlite" and parsed.database and parsed.database != ":memory:":
        return Database(SqliteDriver(root / parsed.database))
    if parsed.kind in ("postgresql", "postgres"):
        from app.storage.database.postgres_driver import PostgresDriver  # here, as loading psycopg takes time

        return Database(PostgresDriver(parsed))
    raise ValueError("DATABASE_URL must begin with sqlite:/// and name a file, or with postgresql://")


class Database:
    """Transactions on one database. While it is unavailable, only one caller a second tries it: see StoreGuard."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._guard = DatabaseGuard(driver)
        self._pid = process.pid
        self._parent_objects: list[Any] = []
        self._needs_migration = True
        self._writer: Connection | None = None  # stays open, if the driver has one writer: see _connect_once()
        self._writer_setup: tuple[str, ...] = ()

    def transaction(self, within_s: float | None = None) -> AbstractContextManager[Connection]:
        """Return a transaction that writes: committed after the block, rolled back if the block raises.

        Raises:
            DatabaseUnavailable: the block's statements took longer than `within_s`, TIMEOUT_S if None, or failed.
        """
        return self._transaction(within_s, partial(self.driver.begin, writes=True), writes=True)

    def read_transaction(self, within_s: float | None = None) -> AbstractContextManager[Connection]:
        """Return a transaction that only reads, from one snapshot. Raises DatabaseUnavailable."""
        return self._transaction(within_s, partial(self.driver.begin, writes=False), writes=False)

    def read_once(self, within_s: float | None = None) -> AbstractContextManager[Connection]:
        """Return a transaction for one statement that only reads: one round trip. Raises DatabaseUnavailable."""
        return self._transaction(within_s, self.driver.begin_single, writes=False)

    def execute(self, sql: str, values: Sequence[Any], within_s: float | None = None) -> int:
        """Run one statement as a transaction. Return how many rows it changed or found. Raises DatabaseUnavailable.

        Args:
            sql: text from render_sql().
            values: one for each placeholder.
            within_s: time limit; TIMEOUT_S if None.
        """
        deadline = clock.ticks() + (TIMEOUT_S if within_s is None else within_s)
        is_trial = self._enter()
        is_sent = False
        try:
            with self.driver.acquire_turn(deadline, writes=True):
                self._guard.recheck(is_trial)
                connection = self._connect_ready(
                    lambda raw: self.driver.prepare(raw, deadline), deadline, writes=True
                )
                is_sent = True
                try:
                    count = self.driver.execute(connection.raw, sql, values, deadline)
                except BaseException as error:
                    self._abandon(connection, error)
                    raise
                if connection is not self._writer:
                    self.driver.pool.give_back(connection.raw)
        except BaseException as error:
            self._fail(error, is_trial=is_trial, is_unsure=is_sent)
            raise
        self._guard.record_success()
        return count

    def set_up_writers(self, statements: Sequence[str]) -> None:
        """Set statements that each new writing connection runs first, if the driver has one writer."""
        self._writer_setup = tuple(statements)
        self._close_writer()

    def render_sql(self, text: str) -> str:
        """Return a statement's text with the driver's placeholders instead of each `?`."""
        return text.replace("?", self.driver.placeholder)

    def migrate(self) -> None:
        """Bring the tables up to date; cheap if they are already.

        Raises:
            DatabaseUnavailable: it failed. The next transaction tries it again.
        """
        self._needs_migration = True
        self._reset_after_fork()
        try:
            self.driver.create()
            with self.driver.acquire_turn(clock.ticks() + TIMEOUT_S, writes=False):
                migrate.migrate(self.driver)
        except OSError as error:
            reason = type(error).__name__
            raise DatabaseUnavailable(reason, advice=self.driver.advise(reason)) from error
        except Exception as error:
            raise to_unavailable(self.driver, error) or error from error
        self._needs_migration = False

    def check(self) -> None:
        """Raise DatabaseUnavailable unless the database accepts writes now."""
        # A real write: SQLite begins a transaction on a file that it opened read-only, and a full disk reads well.
        self.execute("UPDATE alembic_version SET version_num = version_num", ())

    def look(self) -> None:
        """Begin to write, to notice whether the database is available. Raises DatabaseUnavailable."""
        self.execute("UPDATE alembic_version SET version_num = version_num WHERE 1 = 0", ())

    @property
    def is_steady(self) -> bool:
        """Whether all processes have had the time to write what they could not in the last outage."""
        return self._guard.is_steady

    def checkpoint(self) -> None:
        """Sync and shorten the write-ahead log; to be called about once a second.

        Raises:
            DatabaseUnavailable: the database failed.
        """
        self._reset_after_fork()
        try:
            self.driver.checkpoint()
        except Exception as error:
            raise to_unavailable(self.driver, error) or error from error

    def close(self) -> None:
        """Close all connections."""
        self._reset_after_fork()
        self._close_writer()
        self.driver.close()

    @contextmanager
    def _transaction(
        self, within_s: float | None, begin: Callable[[Any, float], None], *, writes: bool
    ) -> Iterator[Connection]:
        deadline = clock.ticks() + (TIMEOUT_S if within_s is None else within_s)
        is_trial = self._enter(writes=writes)
        is_committing = False
        try:
            with self.driver.acquire_turn(deadline, writes=writes):
                self._guard.recheck(is_trial, writes=writes)
                connection = self._connect_ready(lambda raw: begin(raw, deadline), deadline, writes=writes)
                try:
                    yield connection
                    is_committing = True
                    self.driver.commit(connection.raw, deadline)
                except BaseException as error:
                    self._abandon(connection, error)
                    raise
                self._return_connection(connection)
        except BaseException as error:
            self._fail(error, is_trial=is_trial, is_unsure=is_committing, writes=writes)
            raise
        self._guard.record_success(writes=writes)

    def _enter(self, *, writes: bool = True) -> bool:
        """Return whether this caller tests a database that was unavailable. Raises DatabaseUnavailable."""
        if self._pid != process.pid:
            self._reset_after_fork()
        is_trial = self._guard.enter(writes=writes)
        if self._needs_migration:
            self._migrate_late()
        return is_trial

    def _fail(self, error: BaseException, *, is_trial: bool, is_unsure: bool, writes: bool = True) -> None:
        """Report an outage to the guard and raise DatabaseUnavailable, if the error is one."""
        unavailable = to_unavailable(self.driver, error)
        if unavailable is None:
            if is_trial and isinstance(error, Exception):
                self._guard.record_success(writes=writes)
            return
        # If the driver itself raised it, nothing was sent.
        unavailable.is_unsure = is_unsure and unavailable is not error and not isinstance(unavailable, Contended)
        if not isinstance(unavailable, Contended):
            self._guard.record_failure(str(unavailable), unavailable.advice, writes=writes)
        raise unavailable from error

    def _connect_ready(self, prepare: Callable[[Any], None], deadline: float, *, writes: bool) -> Connection:
        try:
            return self._connect_once(prepare, deadline, writes=writes)
        except Exception as error:
            unavailable = to_unavailable(self.driver, error)
            if unavailable is None or isinstance(unavailable, Contended) or clock.ticks() + 0.5 > deadline:
                raise
            # An open connection may be dead: the server restarted, or the file was moved.
            self.driver.pool.dispose()
            return self._connect_once(prepare, deadline, writes=writes)

    def _connect_once(self, prepare: Callable[[Any], None], deadline: float, *, writes: bool) -> Connection:
        # To check each statement's connection out and in costs more than to keep the writer's.
        writer = self._writer if writes else None
        connection = writer or Connection(self.driver.pool.take(), self.driver.placeholder)
        try:
            if writer is None and writes and self.driver.has_one_writer:
                for statement in self._writer_setup:
                    self.driver.execute(connection.raw, statement, (), deadline)
                self._writer = connection
            prepare(connection.raw)
        except BaseException as error:
            self._abandon(connection, error)
            raise
        return connection

    def _return_connection(self, connection: Connection) -> None:
        if connection is not self._writer:
            self.driver.pool.give_back(connection.raw)

    def _close_writer(self) -> None:
        if self._writer is None:
            return
        # In its turn: another thread may use it. What it then still uses is closed when it is given back.
        with suppress(Contended), self.driver.acquire_turn(clock.ticks() + TIMEOUT_S, writes=True):
            writer, self._writer = self._writer, None
            if writer is not None:  # its last user has not closed it meanwhile
                self.driver.pool.discard(writer.raw)

    def _abandon(self, connection: Connection, error: BaseException) -> None:
        """Roll back; close the connection if that fails, or if the database was not available to it.

        What made it so can be of this connection alone: SQLite opened the file when it could only be read, or the
        server at the other end is a replica by now.
        """
        unavailable = to_unavailable(self.driver, error)
        with suppress(Exception):
            connection.raw.rollback()
            if unavailable is None or isinstance(unavailable, Contended):
                self._return_connection(connection)
                return
        if connection is self._writer:
            self._writer = None
        self.driver.pool.discard(connection.raw)

    def _migrate_late(self) -> None:
        try:
            self.migrate()
        except DatabaseUnavailable as error:
            self._guard.record_failure(str(error), error.advice)
            raise

    def _reset_after_fork(self) -> None:
        """Forget the parent's connections after a fork, without closing them: that could damage its file."""
        if self._pid != process.pid:
            self._parent_objects += self.driver.pool.forget()
            self._writer = None
            self._guard = DatabaseGuard(self.driver)
            self._pid = process.pid
