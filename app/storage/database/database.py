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
"""The time limit of a transaction. A transaction should do nothing but run statements."""


def open_database(url: str, root: Path) -> Database:
    """Return the database of a URL. It connects on first use.

    Args:
        url: sqlite:///relative/path, sqlite:////absolute/path or postgresql://…
        root: the folder that relative paths are resolved against.

    Raises:
        ValueError: the URL has another form. The message does not quote it, as it may contain a password.
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
        self._writer: Connection | None = None  # reused, if the driver has one writer: see _connect_once()
        self._writer_setup: tuple[str, ...] = ()

    def transaction(self, within_s: float | None = None) -> AbstractContextManager[Connection]:
        """Return a transaction that writes: committed after the block, rolled back if the block raises.

        Raises:
            DatabaseUnavailable: the statements took longer than `within_s` (TIMEOUT_S if None), or the database failed.
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
        """Set the statements that each new writing connection runs first, if the driver has one writer."""
        self._writer_setup = tuple(statements)
        self._close_writer()

    def render_sql(self, text: str) -> str:
        """Return a statement's text with the driver's placeholders instead of each `?`."""
        return text.replace("?", self.driver.placeholder)

    def migrate(self) -> None:
        """Migrate the tables to the newest revision. This is cheap if they have it already.

        Raises:
            DatabaseUnavailable: the migration failed. The next transaction tries it again.
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
        # A real write: SQLite also begins a write transaction on a file opened read-only, and on a full disk.
        self.execute("UPDATE alembic_version SET version_num = version_num", ())

    def probe(self) -> None:
        """Begin a write that changes nothing, to detect an outage or its end. Raises DatabaseUnavailable."""
        self.execute("UPDATE alembic_version SET version_num = version_num WHERE 1 = 0", ())

    @property
    def is_steady(self) -> bool:
        """Whether all processes have had time to catch up on writes since the last outage."""
        return self._guard.is_steady

    def checkpoint(self) -> None:
        """Sync and shorten the write-ahead log. Call it about once a second.

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
        """Return whether this call is the trial of an unavailable database. Raises DatabaseUnavailable."""
        if self._pid != process.pid:
            self._reset_after_fork()
        is_trial = self._guard.enter(writes=writes)
        if self._needs_migration:
            self._migrate_late()
        return is_trial

    def _fail(self, error: BaseException, *, is_trial: bool, is_unsure: bool, writes: bool = True) -> None:
        """If the error is an outage, report it to the guard and raise DatabaseUnavailable."""
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
        # The writer's connection stays checked out: checking it out and in for each statement would cost time.
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
        # It takes the writer's turn, as another thread may use the connection. If it gets no turn in time, the
        # connection is closed when it is given back.
        with suppress(Contended), self.driver.acquire_turn(clock.ticks() + TIMEOUT_S, writes=True):
            writer, self._writer = self._writer, None
            if writer is not None:  # None: its last user has closed it meanwhile
                self.driver.pool.discard(writer.raw)

    def _abandon(self, connection: Connection, error: BaseException) -> None:
        """Roll back. Close the connection if that fails, or if the database was unavailable to it.

        The reason can lie in this connection alone: SQLite opened the file while it was read-only, or the server has
            become
        a replica.
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
        """Drop the parent's connections after a fork without closing them: that could damage the database file."""
        if self._pid != process.pid:
            self._parent_objects += self.driver.pool.forget()
            self._writer = None
            self._guard = DatabaseGuard(self.driver)
            self._pid = process.pid
