"""Back up a SQLite file while servers write to it, and restore it.

It uses the same SQLite library as the servers. Another one, such as that of the `sqlite3` program, may have the
checkpoint bug that sqlite.has_safe_wal() checks for.
"""

from __future__ import annotations

import os
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from app.runtime import clock, sqlite
from app.storage.database.copy_files import CopyRefused, new_file, partial_file, sync

# A mebibyte with the usual page size. The pause leaves the disk to the servers.
_STEP_PAGES = 256
_PAUSE_S = 0.002
_OK = 0  # SQLITE_OK
_MAX_RESTARTS = 50
_BESIDE = ("-wal", "-shm", "-journal")


def back_up(path: Path, target: Path) -> str:
    """Copy a snapshot of a file to a new one. Return the revision of its tables. Raises CopyRefused, OSError."""
    if not path.exists():
        raise CopyRefused(f"There is no ledger at {path}.")
    try:
        with new_file(target) as partial:
            _copy(path, partial)
            return check(partial)
    except sqlite.dbapi.Error as error:
        raise CopyRefused(f"The ledger cannot be copied ({sqlite.get_error_name(error)}).") from None


def read_revision(path: Path) -> str:
    """Return the revision of the tables of a copy, after checking it for damage. Raises CopyRefused."""
    try:
        return check(path)
    except sqlite.dbapi.Error as error:
        raise CopyRefused(f"{path} is not a copy of a ledger ({sqlite.get_error_name(error)}).") from None


def restore(path: Path, source: Path, *, is_damaged: bool) -> Path | None:
    """Replace the ledger with a copy, after checking that for damage. Return the new path of the old ledger.

    Args:
        path: the path of the ledger.
        source: the copy.
        is_damaged: whether the ledger cannot be opened. Then it is not checked whether a server uses it.

    Raises:
        CopyRefused: a server uses the ledger, or the copy is damaged.
        OSError: a file cannot be read or written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with partial_file(path) as partial:
        _copy(source, partial)
        check(partial)
        _give_to_owner(partial, path)
        sync(partial)
        if not path.exists():
            partial.rename(path)
            sync(path.parent)
            return None
        aside = path.with_name(f"{path.name}.until-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(clock.now()))}")
        if is_damaged:
            _move_aside(path, aside, partial)
        else:
            with closing(_open_alone(path)):
                _move_aside(path, aside, partial)
    return aside


def check(path: Path) -> str:
    """Return the revision of a file's tables.

    Raises:
        CopyRefused: the file is damaged, or not a ledger.
        sqlite.dbapi.Error: the file cannot be read at all.
    """
    with closing(sqlite.connect(path)) as raw:
        faults = find_damage(raw)
        if faults:
            raise CopyRefused(f"{path} is damaged: {faults[0]}.")
        with suppress(sqlite.dbapi.OperationalError):
            (revision,) = raw.execute(
                "SELECT version_num FROM alembic_version, (SELECT count(*) FROM entries)"
            ).fetchone()
            return str(revision)
    raise CopyRefused(f"{path} does not have the tables of a ledger.")


def find_damage(raw: Any) -> list[str]:
    """Return the errors that SQLite's integrity check finds."""
    return [text for (text,) in raw.execute("PRAGMA integrity_check(20)") if text != "ok"]


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite.connect(source)) as raw, closing(sqlite.connect(target)) as copy:
        is_ahead = raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        if is_ahead:
            # With a snapshot, writes of other processes do not make the copy begin again.
            raw.execute("BEGIN")
            raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
        raw.backup(copy, pages=_STEP_PAGES, progress=_Steps(), sleep=0.01)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it


class _Steps:
    """Pauses after each step of a copy, and ends a copy that begins again too often.

    A copy begins again when it has no snapshot, as the library is not safe for WAL mode, and the file is written.
    """

    def __init__(self) -> None:
        self._left: int | None = None
        self._restarts = 0

    def __call__(self, status: int, left: int, _total: int) -> None:
        if status == _OK:  # else the file was busy, and nothing was copied
            if self._left is not None and left >= self._left:
                self._restarts += 1
            self._left = left
        if self._restarts > _MAX_RESTARTS:
            raise CopyRefused(
                "This SQLite library cannot copy the ledger while it is written so often: install pysqlite3, or stop"
                " the server."
            )
        time.sleep(_PAUSE_S)


def _open_alone(path: Path) -> Any:
    """Open a file exclusively. Raises CopyRefused if another process has it open."""
    raw = sqlite.connect(path)
    try:
        raw.execute("PRAGMA journal_mode = DELETE")  # moves the log into the file; fails if others have it open
        raw.execute("BEGIN EXCLUSIVE")
    except sqlite.dbapi.DatabaseError as error:
        raw.close()
        if sqlite.is_busy(error):
            raise CopyRefused("A server or another command uses the ledger: stop it first.") from None
        raise CopyRefused(
            f"The current ledger cannot be opened ({sqlite.get_error_name(error)}): stop the server, and add"
            " --damaged."
        ) from None
    return raw


def _move_aside(path: Path, aside: Path, replacement: Path) -> None:
    os.link(path, aside)
    for suffix in _BESIDE:  # a damaged file has these; SQLite would read its log as that of the new file
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    replacement.rename(path)
    sync(path.parent)


def _give_to_owner(copy: Path, path: Path) -> None:
    """Make the owner of the ledger that of the copy: usually root restores it, and the server runs as another user."""
    owner = (path if path.exists() else path.parent).stat()
    if os.geteuid() == 0:
        os.chown(copy, owner.st_uid, owner.st_gid)
