"""Back up a database to a file while servers use it, and restore such a file."""

from __future__ import annotations

from pathlib import Path

from app.storage.database import postgres_dumps, sqlite_copies
from app.storage.database.copy_files import CopyRefused
from app.storage.database.database import Database
from app.storage.database.migrate import find_newest_revision
from app.storage.database.sqlite_driver import SqliteDriver


def back_up(database: Database, target: Path) -> str:
    """Copy a consistent snapshot of a database to a new file. Return the revision of its tables.

    Raises:
        CopyRefused: the file exists, or the copy is incomplete.
        OSError: the file cannot be written.
    """
    driver = database.driver
    if isinstance(driver, SqliteDriver):
        return sqlite_copies.back_up(driver.path, target)
    return postgres_dumps.back_up(_get_access(database), target)


def restore(database: Database, source: Path, *, is_damaged: bool = False) -> Path | None:
    """Replace the database with a copy. Return the new path of the old database, if it was a file.

    Args:
        database: it must not be in use.
        source: a file that back_up() has written.
        is_damaged: whether the current database cannot be opened.

    Raises:
        CopyRefused: a server uses the database, or the copy is damaged, or its tables have a newer revision.
        OSError: a file cannot be read or written.
    """
    if not source.is_file():
        raise CopyRefused(f"{source} is not a file.")
    driver = database.driver
    if isinstance(driver, SqliteDriver):
        _check_revision(sqlite_copies.read_revision(source))
        return sqlite_copies.restore(driver.path, source, is_damaged=is_damaged)
    access = _get_access(database)
    _check_revision(postgres_dumps.read_revision(access, source))
    postgres_dumps.restore(access, source)
    return None


def _get_access(database: Database) -> dict[str, str]:
    from app.storage.database.postgres_driver import PostgresDriver  # here, as loading psycopg takes time

    assert isinstance(database.driver, PostgresDriver)
    return database.driver.describe_access()


def _check_revision(revision: str) -> None:
    newest = find_newest_revision()
    if revision > newest:
        raise CopyRefused(
            f"The tables of the copy have revision {revision}, and this version supports at most {newest}: install the"
            " version that made the copy."
        )
