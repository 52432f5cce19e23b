"""Use SQLite, for several processes of one machine, in WAL mode and without blocking a worker's greenlets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from app.runtime import clock, sqlite
from app.runtime.blocking import run_blocking
from app.runtime.store_guard import Contended, DatabaseUnavailable
from app.storage.database.connections.pool import Pool
from app.storage.database.file_owners import find_foreign_file

_MIGRATION_S = 60.0
# For readers. The writer's connection is never given back.
_POOL_SIZE = 8
_POOL_TIMEOUT_S = 1.0
# Size of the write-ahead log in pages at which a commit makes the checkpoint. Normally checkpoint() makes it earlier.
_AUTOCHECKPOINT_PAGES = 16_000
# Size in pages at which checkpoint() blocks writers until the log can restart.
_MAX_LOG_PAGES = 8_000

_MISSING = "the ledger's file is missing: restore it, or restart to create an empty one without keys and with unspent budgets"
_READ_ONLY = "SQLITE_READONLY"
_ADVICE = {
    _READ_ONLY: "the ledger's file or folder cannot be written: check its owner, its mode and the mount",
    "PermissionError": "the ledger's file or folder cannot be opened: check its owner and mode",
    "SQLITE_CANTOPEN": "the ledger's file, or its -wal or -shm beside it, cannot be opened: check their owner and mode",
    "FileNotFoundError": "the folder of the ledger's file does not exist and cannot be created: check DATABASE_URL",
    "FileExistsError": "the folder of the ledger's file is a file: check DATABASE_URL",
    "NotADirectoryError": "the folder of the ledger's file is a file: check DATABASE_URL",
    "IsADirectoryError": "the ledger's file is a folder: check DATABASE_URL",
    "SQLITE_FULL": "the disk of the ledger is full: free some space",
    "SQLITE_CORRUPT": "the ledger's file is damaged: stop the server and restore a copy",
    "SQLITE_NOTADB": "the ledger's file is not a SQLite database: stop the server and restore a copy",
    "SQLITE_ERROR": "the ledger's file has lost its tables: stop the server and restore a copy",
}
_OWNER_REASONS = (_READ_ONLY, "PermissionError", "SQLITE_CANTOPEN")


class SqliteDriver:
    """Transactions on a file: in WAL mode if the SQLite library is safe for it, else in rollback mode.

    In WAL mode a commit is written at once, and synced by the next checkpoint(), at most a second later. If a process
    is killed, nothing is lost; a power failure may lose the last second. Syncing each commit would block all
    greenlets of a worker for 1 to 3 ms, and limit all workers together to 300 requests a second.
    """

    name = "sqlite"
    has_one_writer = True
    placeholder = "?"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._dbapi = sqlite.dbapi
        self._has_wal = self.readers_pass_writers = sqlite.uses_wal()
        self._lock = threading.Lock()
        self._has_changes = False
        self._checkpointer: Any = None
        self._watch = sqlite.FileWatch(path)
        self.pool = Pool(self._connect, _POOL_SIZE, _POOL_TIMEOUT_S)

    def acquire_turn(self, deadline: float, *, writes: bool) -> AbstractContextManager[None]:
        """Wait for the lock of this process's writer. SQLite has no queue: without it, writers would poll the file."""
        return _Turn(self._lock, deadline) if writes else nullcontext()

    def begin(self, raw: Any, deadline: float, *, writes: bool) -> None:
        """Begin a transaction and take its lock, waiting while the file is busy."""
        self._check_file(raw)
        if writes:
            self._run_step(lambda: raw.execute("BEGIN IMMEDIATE"), raw, deadline)
            self._has_changes = True
        else:
            raw.execute("BEGIN")
            # A reader takes its lock with its first statement, which may find the file busy.
            self._run_step(lambda: raw.execute("PRAGMA schema_version").fetchall(), raw, deadline)

    def begin_single(self, raw: Any, deadline: float) -> None:
        """Begin a read transaction: once it has begun, no statement in it finds the file busy."""
        self.begin(raw, deadline, writes=False)

    def prepare(self, raw: Any, deadline: float) -> None:  # noqa: ARG002
        """Raise if the file was moved."""
        self._check_file(raw)
        self._has_changes = True

    def execute(self, raw: Any, sql: str, values: Sequence[Any], deadline: float) -> int:
        """Run one statement, waiting while the file is busy. Return how many rows it changed."""
        return int(self._run_step(lambda: raw.execute(sql, values), raw, deadline).rowcount)

    def commit(self, raw: Any, deadline: float) -> None:
        """Commit the transaction. In rollback mode this waits for readers."""
        self._run_step(lambda: raw.execute("COMMIT"), raw, deadline)

    def classify_error(self, error: BaseException) -> tuple[str, bool] | None:
        """Return SQLite's error name and False; None if the error is not an outage."""
        if not isinstance(error, self._dbapi.DatabaseError) or isinstance(
            error, (self._dbapi.IntegrityError, self._dbapi.ProgrammingError, self._dbapi.DataError)
        ):
            return None
        code = getattr(error, "sqlite_errorcode", None)
        if code == self._dbapi.SQLITE_ERROR and "no such" not in str(error):
            return None  # a bug in one of our statements
        # Without the details of SQLite's extended codes, such as SQLITE_READONLY_DBMOVED.
        return "_".join(sqlite.get_error_name(error).split("_")[:2]), False

    def advise(self, reason: str) -> str | None:
        """Return what is wrong with the file and what to do; None if the reason is unknown."""
        if reason == "SQLITE_CANTOPEN" and not self.path.exists():
            return _MISSING
        advice = _ADVICE.get(reason)
        if reason in _OWNER_REASONS and (found := find_foreign_file(self.path)):
            return f"{advice} ({found})"
        return advice

    def begin_migration(self, raw: Any) -> None:
        """Begin a transaction with the writer's lock, waiting up to a minute for it."""
        self._run_step(lambda: raw.execute("BEGIN IMMEDIATE"), raw, clock.ticks() + _MIGRATION_S)

    def create(self) -> None:
        """Create the file if it is missing, readable by this user only."""
        sqlite.create_private(self.path)

    def checkpoint(self) -> None:
        """Sync the write-ahead log and move it into the file, in a thread."""
        if self._has_wal and self._has_changes:
            self._has_changes = False
            run_blocking(self._checkpoint)

    def close(self) -> None:
        """Close all connections."""
        self.pool.dispose()
        self._close_checkpointer()

    def _close_checkpointer(self) -> None:
        if self._checkpointer is not None:
            self._checkpointer.close()
            self._checkpointer = None

    def _checkpoint(self) -> None:
        if self._checkpointer is None:
            self._checkpointer = self._connect()
        try:
            _, pages, _ = self._checkpointer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if pages > _MAX_LOG_PAGES:
                self._checkpointer.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        except self._dbapi.Error:
            self._close_checkpointer()
            raise

    def _connect(self) -> Any:
        if sqlite.is_read_only(self.path):
            raise DatabaseUnavailable(_READ_ONLY, advice=self.advise(_READ_ONLY))
        inode = self._watch.mark_opened()  # before it is opened, so that a file replaced meanwhile is detected
        raw = sqlite.connect(self.path)
        try:
            raw.inode = inode
            deadline = clock.ticks() + _POOL_TIMEOUT_S
            mode, sync = ("WAL", "NORMAL") if self._has_wal else ("DELETE", "FULL")
            self._run_step(lambda: raw.execute(f"PRAGMA journal_mode = {mode}").fetchall(), raw, deadline)
            raw.execute(f"PRAGMA synchronous = {sync}")
            raw.execute(f"PRAGMA wal_autocheckpoint = {_AUTOCHECKPOINT_PAGES}")
        except BaseException:
            raw.close()
            raise
        return raw

    def _check_file(self, raw: Any) -> None:
        """Raise if the file of a connection was moved: other processes would not see what is written to it."""
        if raw.inode != self._watch.inode or self._watch.has_moved():
            self._close_checkpointer()
            raise self._dbapi.OperationalError("the file was moved")

    def _run_step(self, step: Callable[[], Any], raw: Any, deadline: float) -> Any:
        """Run a step, and retry it while the file is busy, until the deadline."""
        try:
            return step()  # the usual case
        except self._dbapi.OperationalError as error:
            if not sqlite.is_busy(error):
                raise
        return self._retry_step(step, raw, deadline)

    def _retry_step(self, step: Callable[[], Any], raw: Any, deadline: float) -> Any:
        version: object = None
        for pause_s in sqlite.busy_pauses():
            try:
                return step()
            except self._dbapi.OperationalError as error:
                if not sqlite.is_busy(error):
                    raise
                left_s = deadline - clock.ticks()
                if version is None:
                    version = self._read_data_version(raw)
                if left_s <= 0:
                    if self._read_data_version(raw) != version:  # other processes do commit
                        raise Contended("contended") from error
                    raise DatabaseUnavailable(sqlite.get_error_name(error)) from error
            time.sleep(min(left_s, pause_s))
        raise AssertionError("busy_pauses() never ends")

    def _read_data_version(self, raw: Any) -> object:
        """Return a number that changes with each commit of another connection; None if the file is busy."""
        try:
            return raw.execute("PRAGMA data_version").fetchone()
        except self._dbapi.OperationalError:
            return None


class _Turn:
    """The writer's lock, acquired with a deadline. It is a class, as a generator would cost more than the lock."""

    def __init__(self, lock: threading.Lock, deadline: float) -> None:
        self._lock = lock
        self._deadline = deadline

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=max(0.0, self._deadline - clock.ticks())):
            raise Contended("contended")

    def __exit__(self, *_: object) -> None:
        self._lock.release()
