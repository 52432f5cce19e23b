"""Copy a SQLite file while servers write to it, with the SQLite that they use, and put a copy back.

Another SQLite, such as that of a `sqlite3` program, may have the bug of checkpoints that sqlite.has_safe_wal() knows.
"""

from __future__ import annotations

import os
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from app.runtime import clock, sqlite
from app.storage.database.copy_files import CopyRefused, new_file, partial_file, sync

# Of a mebibyte, as a rule; the pause leaves the disk to the servers.
_STEP_PAGES = 256
_PAUSE_S = 0.002
_OK = 0  # SQLITE_OK
_MAX_RESTARTS = 50
_BESIDE = ("-wal", "-shm", "-journal")


def back_up(path: Path, target: Path) -> str:
    """Copy a file to a new one, as of one moment. Return the revision of its tables. Raises CopyRefused, OSError."""
    if not path.exists():
        raise CopyRefused(f"There is no ledger at {path}.")
    try:
        with new_file(target) as partial:
            _copy(path, partial)
            return check(partial)
    except sqlite.dbapi.Error as error:
        raise CopyRefused(f"The ledger cannot be copied ({sqlite.get_error_name(error)}).") from None


def read_revision(path: Path) -> str:
    """Return the revision of a whole copy's tables. Raises CopyRefused."""
    try:
        return check(path)
    except sqlite.dbapi.Error as error:
        raise CopyRefused(f"{path} is no copy of a ledger ({sqlite.get_error_name(error)}).") from None


def restore(path: Path, source: Path, *, is_damaged: bool) -> Path | None:
    """Put a whole copy in a file's place. Return where that file is now. Raises CopyRefused, OSError.

    Args:
        path: of the ledger.
        source: the copy.
        is_damaged: the ledger cannot be opened, so that nothing can tell whether a server uses it.
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
        CopyRefused: the file is damaged, or no ledger.
        Error: SQLite's; the file cannot be read at all.
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
    raise CopyRefused(f"{path} has no tables of a ledger.")


def find_damage(raw: Any) -> list[str]:
    """Return what SQLite's own check of a whole file finds."""
    return [text for (text,) in raw.execute("PRAGMA integrity_check(20)") if text != "ok"]


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite.connect(source)) as raw, closing(sqlite.connect(target)) as copy:
        is_ahead = raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        if is_ahead:
            # One snapshot: writers go on, and do not make the copy begin again.
            raw.execute("BEGIN")
            raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
        raw.backup(copy, pages=_STEP_PAGES, progress=_Steps(), sleep=0.01)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it


class _Steps:
    """Pauses after each step of a copy, and ends one that begins again and again.

    That happens without a snapshot, where the library is not safe for WAL mode.
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
                "The ledger is written to all the time, and this SQLite cannot copy it then: install pysqlite3, or"
                " stop the server."
            )
        time.sleep(_PAUSE_S)


def _open_alone(path: Path) -> Any:
    """Open a file that nobody else has open, and keep others out. Raises CopyRefused."""
    raw = sqlite.connect(path)
    try:
        raw.execute("PRAGMA journal_mode = DELETE")  # moves the log into the file; fails if others have it open
        raw.execute("BEGIN EXCLUSIVE")
    except sqlite.dbapi.DatabaseError as error:
        raw.close()
        if sqlite.is_busy(error):
            raise CopyRefused("A server or another command uses the ledger: stop it first.") from None
        raise CopyRefused(
            f"The ledger that is there cannot be opened ({sqlite.get_error_name(error)}): stop the server, and say"
            " --damaged."
        ) from None
    return raw


def _move_aside(path: Path, aside: Path, replacement: Path) -> None:
    os.link(path, aside)
    for suffix in _BESIDE:  # of a damaged file; SQLite would take its log for the new one's
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    replacement.rename(path)
    sync(path.parent)


def _give_to_owner(copy: Path, path: Path) -> None:
    """Give a copy to the user who has the ledger: root restores it, as a rule, and the server is another user."""
    owner = (path if path.exists() else path.parent).stat()
    if os.geteuid() == 0:
        os.chown(copy, owner.st_uid, owner.st_gid)
