"""Choose the SQLite library, create private files, and pause while a file is busy.

SQLite's own busy timeout blocks all greenlets of a worker and is unfair, so connections have none.
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
"""How often to check whether a file is still the one that was opened."""

_FIRST_MAX_PAUSE_S = 0.0005


def import_sqlite() -> Any:
    """Return pysqlite3, which contains a newer SQLite, else the standard library's module."""
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return importlib.import_module("sqlite3.dbapi2")


dbapi = import_sqlite()
# Bind these types without conversion. For a type without an adapter, sqlite3 searches for one at each value, in vain.
dbapi.register_adapter(bytes, bytes)
dbapi.register_adapter(type(None), {}.get)
_BUSY = {dbapi.SQLITE_BUSY, dbapi.SQLITE_LOCKED}


def has_safe_wal(version: tuple[int, ...]) -> bool:
    """Return whether a SQLite version is free of the bug that lets two checkpoints damage the file.

    Source: https://sqlite.org/wal.html#the_wal_reset_bug
    """
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)


def uses_wal() -> bool:
    """Return whether files use WAL mode: only if the library is safe for it."""
    return has_safe_wal(dbapi.sqlite_version_info)


def create_private(path: Path) -> None:
    """Create a missing file, and its folder, readable by this user only. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        # An existing file is not opened: closing it would drop this process's locks on it.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def is_read_only(path: Path) -> bool:
    """Return whether a file exists and may not be written.

    Such a file must not be opened: SQLite would create its log with the same mode, which stays when the file's is
        fixed.
    """
    return path.exists() and not all(
        os.access(each, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
        for each in (path, path.parent)
    )


class Connection(dbapi.Connection):  # type: ignore[misc, name-defined]
    """A connection that records which file it has opened, as the file can be replaced.

    Attributes:
        inode: the inode of the file; None if the file was missing.
    """

    inode: int | None = None


def connect(path: Path) -> Any:
    """Open an existing file, in autocommit mode, for use from any thread."""
    # rw: a missing file is not created, as all budgets in it would be unspent.
    return dbapi.connect(
        f"file:{quote(str(path))}?mode=rw",
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
        factory=Connection,
    )


def is_busy(error: Exception) -> bool:
    """Return whether an error says that another connection has locked the file."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _BUSY


def get_error_name(error: Exception) -> str:
    """Return SQLite's name of an error; "unreadable" if Python could not decode the file's content."""
    return getattr(error, "sqlite_errorname", "unreadable")


def busy_pauses(max_s: float = 0.01) -> Iterator[float]:
    """Yield the seconds to sleep before each retry: random, below a bound that doubles up to `max_s`."""
    bound_s = _FIRST_MAX_PAUSE_S
    while True:
        yield random.uniform(0, bound_s)  # noqa: S311
        bound_s = min(2 * bound_s, max_s)


class FileWatch:
    """Detects that an open file was moved or removed: what is written to it then would be lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.inode: int | None = None
        self._check_at = 0.0

    def mark_opened(self) -> int | None:
        """Record the current file as the opened one, and return its inode."""
        self.inode = self._read_inode()
        return self.inode

    def has_moved(self) -> bool:
        """Return whether the file was replaced or removed. It is checked at most once in CHECK_INTERVAL_S."""
        at = clock.ticks()
        if at < self._check_at:
            return False
        has_moved = not self.is_same()
        self._check_at = 0.0 if has_moved else at + CHECK_INTERVAL_S
        return has_moved

    def is_same(self) -> bool:
        """Return whether the file is still the opened one, checked now."""
        return self.inode == self._read_inode()

    def _read_inode(self) -> int | None:
        try:
            return self._path.stat().st_ino
        except OSError:
            return None
