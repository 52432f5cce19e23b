"""SQLite: the best library there is, files that are this user's alone, and how to wait while one is busy.

SQLite's own way of waiting blocks all greenlets of a worker, and is unfair; so connections do not wait at all.
"""

from __future__ import annotations

import importlib
import os
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.runtime import clock

CHECK_INTERVAL_S = 1.0
"""How often somebody looks whether a file is still the one that was opened."""

_FIRST_MAX_PAUSE_S = 0.0005


def import_sqlite() -> Any:
    """Return pysqlite3, which brings a SQLite of its own, or the system's where that could not be installed."""
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return importlib.import_module("sqlite3.dbapi2")


dbapi = import_sqlite()
_BUSY = {dbapi.SQLITE_BUSY, dbapi.SQLITE_LOCKED}


def has_safe_wal(version: tuple[int, ...]) -> bool:
    """Tell whether a SQLite is free of the bug by which two connections that checkpoint can damage the file.

    Source: https://sqlite.org/wal.html#the_wal_reset_bug
    """
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def uses_wal() -> bool:
    """Tell whether files are written ahead: only where this library can be trusted with that."""
    return has_safe_wal(dbapi.sqlite_version_info)


def create_private(path: Path) -> None:
    """Make a file that only this user may read, and its folder, where they are missing. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        # Never to open it where it exists: closing it again would drop this process's locks on it.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def connect(path: Path) -> Any:
    """Open a file that exists, for any thread; each statement is a transaction of its own until one says BEGIN."""
    # rw: a file that has gone is not made anew, with budgets from which nothing is spent.
    return dbapi.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
    )


def is_busy(error: Exception) -> bool:
    """Tell whether another connection was at the file."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _BUSY


def get_error_name(error: Exception) -> str:
    """Return the name of what went wrong; without one, it was Python that could not read what the file says."""
    return getattr(error, "sqlite_errorname", "unreadable")


def busy_pauses(max_s: float = 0.01) -> Iterator[float]:
    """Yield how many seconds to wait before each further try: random, and growing up to a bound."""
    bound_s = _FIRST_MAX_PAUSE_S
    while True:
        yield random.uniform(0, bound_s)  # noqa: S311
        bound_s = min(2 * bound_s, max_s)


class FileWatch:
    """Notices that an open file was moved or removed, so that nothing more is written to what nobody will find."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode: int | None = None
        self._check_at = 0.0

    def mark_opened(self) -> None:
        """Take the file that is there now for the one that was opened."""
        self._inode = self._read_inode()

    def has_moved(self) -> bool:
        """Tell whether the file is another one, or none; looks once in CHECK_INTERVAL_S seconds, until it has moved."""
        at = clock.ticks()
        if at < self._check_at:
            return False
        has_moved = not self.is_same()
        self._check_at = 0.0 if has_moved else at + CHECK_INTERVAL_S
        return has_moved

    def is_same(self) -> bool:
        """Look now."""
        return self._inode == self._read_inode()

    def _read_inode(self) -> int | None:
        try:
            return self._path.stat().st_ino
        except OSError:
            return None
