"""Run statements on a SQLite file that may be lost, and replace it if it is broken."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.runtime import sqlite
from app.runtime.per_process import PerProcess
from app.runtime.store_guard import DatabaseUnavailable
from app.storage.shared_state.store import QUEUE_TIMEOUT_S, pace_retries

# SQLITE_ERROR: the file does not have our tables.
_BROKEN = {sqlite.dbapi.SQLITE_CORRUPT, sqlite.dbapi.SQLITE_NOTADB, sqlite.dbapi.SQLITE_ERROR}

log = logging.getLogger("app.shared_state")


class SqliteFile:
    """Runs single statements in autocommit mode, on one connection for each process, with short waits."""

    def __init__(self, path: Path, schema: str) -> None:
        """Prepare to open the file; the first statement opens it.

        Args:
            path: the file, created if missing.
            schema: statements that create missing tables.
        """
        self._path = path
        self._schema = schema
        self._own = PerProcess(lambda: _Connection(path))

    def query(self, sql: str, parameters: Mapping[str, Any]) -> list[Any]:
        """Return the rows that a statement finds. Raises DatabaseUnavailable."""
        return self._run(sql, parameters)[0]

    def change(self, sql: str, parameters: Mapping[str, Any]) -> int:
        """Return the number of rows that a statement changed. Raises DatabaseUnavailable."""
        return self._run(sql, parameters)[1]

    def close(self) -> None:
        """Close this process's connection."""
        own = self._own.get()
        own.acquire()
        try:
            own.close()
        finally:
            own.release()

    def _run(self, sql: str, parameters: Mapping[str, Any]) -> tuple[list[Any], int]:
        own = self._own.get()
        has_reopened = False
        reason = ""
        try:
            for _ in pace_retries():
                own.acquire()
                try:
                    cursor = self._get_connection(own).execute(sql, parameters)
                    return cursor.fetchall(), cursor.rowcount
                except sqlite.dbapi.Error as error:
                    reason = sqlite.get_error_name(error)
                    if sqlite.is_busy(error):
                        continue
                    own.close()
                    # The file may have been moved, removed or replaced: try a new connection once.
                    if has_reopened:
                        raise DatabaseUnavailable(reason) from error
                    has_reopened = True
                    if _is_broken(error):
                        self._remove(own, reason)
                finally:
                    own.release()
        except OSError as error:
            raise DatabaseUnavailable(type(error).__name__) from error
        raise DatabaseUnavailable(reason)

    def _get_connection(self, own: _Connection) -> Any:
        if own.opened is not None and own.watch.has_moved():  # another process has replaced a broken file
            own.close()
        if own.opened is None:
            self._open(own)
        return own.opened

    def _open(self, own: _Connection) -> None:
        sqlite.create_private(self._path)
        own.watch.mark_opened()
        opened = sqlite.connect(self._path)
        try:
            opened.execute("PRAGMA synchronous = OFF")
            opened.execute(f"PRAGMA journal_mode = {'WAL' if sqlite.uses_wal() else 'TRUNCATE'}")
            opened.executescript(self._schema)
        except BaseException:
            opened.close()
            raise
        own.opened = opened

    def _remove(self, own: _Connection, reason: str) -> None:
        """Remove the broken file, unless another process has replaced it since it was opened."""
        if not own.watch.is_same():
            return
        # The file itself is removed last: a journal that outlived it would be replayed into the next file.
        for suffix in ("-journal", "-wal", "-shm", ""):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        log.warning("state.remade", extra={"store": "sqlite", "reason": reason})


class _Connection:
    """This process's connection, if it is open, with its lock: acquire() before each use, and release() after it."""

    def __init__(self, path: Path) -> None:
        self.opened: Any = None
        self.watch = sqlite.FileWatch(path)
        self._lock = threading.Lock()
        self.release = self._lock.release

    def acquire(self) -> None:
        """Wait for the lock. Raises DatabaseUnavailable."""
        if not self._lock.acquire(timeout=QUEUE_TIMEOUT_S):
            raise DatabaseUnavailable("overloaded")

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self.opened is not None:
            self.opened.close()
            self.opened = None


def _is_broken(error: Exception) -> bool:
    """Return whether the file is unusable. Without an error code, Python could not decode its content."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF in _BROKEN
