"""Name backups of the database by their time, and delete the oldest ones."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from app.runtime import clock
from app.storage.database.database import Database

# Only files with such names are ever deleted.
_NAME = re.compile(r"gatehouse-\d{8}T\d{6}Z(\.sqlite3|\.dump)")
_SUFFIXES = {"sqlite": ".sqlite3", "postgresql": ".dump"}


def name_copy(database: Database, folder: Path) -> Path:
    """Return the path, in a folder, of a copy that is made now."""
    at = datetime.fromtimestamp(clock.now(), UTC)
    return folder / f"gatehouse-{at:%Y%m%dT%H%M%SZ}{_SUFFIXES[database.driver.name]}"


def delete_oldest(newest: Path, keep: int) -> list[Path]:
    """Delete all but the latest `keep` copies of a folder. Return the deleted ones.

    Args:
        newest: the newest copy; only copies of its kind, in its folder, are counted.
        keep: the number of copies to keep.
    """
    copies = sorted(
        each for each in newest.parent.glob(f"gatehouse-*{newest.suffix}") if _NAME.fullmatch(each.name)
    )
    oldest = copies[:-keep]
    for each in oldest:
        each.unlink()
    return oldest
