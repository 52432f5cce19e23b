"""SqliteFile: one connection for each process to a file that may be lost, and never a long wait for it."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.shared_state import clock
from app.shared_state.per_process import PerProcess
from app.shared_state.store import QUEUE_S, StateUnavailable, tries

_LOOK_S = 1.0
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# The last is what a statement of ours fails with when the tables are not those that we make.
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}

log = logging.getLogger("app.shared_state")


class SqliteFile:
    """Runs single statements, each of them a transaction of its own."""

    def __init__(self, path: Path, schema: str) -> None:
        """Prepare to use a file; it is opened, and made where it is missing, with the first statement.

        Args:
            schema: statements that make what is missing of the tables.
        """
        self._path = path
        self._schema = schema
        self._own: PerProcess[_Connection] = PerProcess(_Connection)

    def query(self, sql: str, parameters: Mapping[str, Any]) -> list[Any]:
        """The rows that a statement finds. Raises StateUnavailable."""
        return self._run(sql, parameters)[0]

    def change(self, sql: str, parameters: Mapping[str, Any]) -> int:
        """The number of rows that a statement changed. Raises StateUnavailable."""
        return self._run(sql, parameters)[1]

    def close(self) -> None:
        own = self._own.get()
        with own:
            own.close()

    def _run(self, sql: str, parameters: Mapping[str, Any]) -> tuple[list[Any], int]:
        own = self._own.get()
        has_reopened = False
        fault = ""
        try:
            # Not SQLite's own way of waiting: it blocks all greenlets of a worker, and is unfair.
            for _ in tries():
                with own:
                    try:
                        cursor = self._connection(own).execute(sql, parameters)
                        return cursor.fetchall(), cursor.rowcount
                    except sqlite3.Error as error:
                        fault, code = _fault_of(error)
                        if code in _BUSY:
                            continue
                        own.close()
                        # The file may have been moved, removed or remade; a new connection tells.
                        if has_reopened:
                            raise StateUnavailable(fault) from error
                        has_reopened = True
                        if code in _BROKEN:
                            self._remove(own, fault)
        except OSError as error:
            raise StateUnavailable(type(error).__name__) from error
        raise StateUnavailable(fault)

    def _connection(self, own: _Connection) -> sqlite3.Connection:
        at = clock.ticks()
        if own.opened is not None and at >= own.look_at:
            own.look_at = at + _LOOK_S
            if own.inode != _inode(self._path):  # another process has found it broken and removed it
                own.close()
        if own.opened is None:
            own.look_at = at + _LOOK_S
            self._open(own)
        assert own.opened is not None
        return own.opened

    def _open(self, own: _Connection) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            # Never to open it when it exists: closing it again would drop this process's locks on it.
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        own.inode = _inode(self._path)
        opened = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            opened.execute("PRAGMA synchronous = OFF")
            opened.execute(
                f"PRAGMA journal_mode = {'WAL' if _has_safe_wal(sqlite3.sqlite_version_info) else 'TRUNCATE'}"
            )
            opened.executescript(self._schema)
        except BaseException:
            opened.close()
            raise
        own.opened = opened

    def _remove(self, own: _Connection, fault: str) -> None:
        """Remove the file, unless another process has done so since it was opened here."""
        if own.inode != _inode(self._path):
            return
        # The file itself goes last: a journal that outlived it would be played back into the next one.
        for suffix in ("-journal", "-wal", "-shm", ""):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        log.warning("state.remade", extra={"store": "sqlite", "reason": fault})


class _Connection:
    """This process's connection, if it is open; to be used by who holds it, as in `with connection:`."""

    def __init__(self) -> None:
        self.opened: sqlite3.Connection | None = None
        self.inode: int | None = None
        self.look_at = 0.0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=QUEUE_S):
            raise StateUnavailable("overloaded")

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def close(self) -> None:
        if self.opened is not None:
            self.opened.close()
            self.opened = None


def _fault_of(error: sqlite3.Error) -> tuple[str, int]:
    """The name and the primary code of what went wrong."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    if code is None:  # it is Python that could not read what the file says
        return "unreadable", sqlite3.SQLITE_CORRUPT
    return error.sqlite_errorname, code & 0xFF


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _has_safe_wal(version: tuple[int, ...]) -> bool:
    """Whether this SQLite is free of the bug by which two connections that checkpoint can damage the file.

    Source: https://sqlite.org/wal.html#the_wal_reset_bug
    """
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
