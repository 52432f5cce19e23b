"""Name copies of the database by their time, and keep so many of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from app.runtime import clock
from app.storage.database.database import Database

# Nothing else in the folder is ever deleted.
_NAME = re.compile(r"gatehouse-\d{8}T\d{6}Z(\.sqlite3|\.dump)")
_SUFFIXES = {"sqlite": ".sqlite3", "postgresql": ".dump"}


def name_copy(database: Database, folder: Path) -> Path:
    """Return the file in a folder for a copy that is made now."""
    at = datetime.fromtimestamp(clock.now(), UTC)
    return folder / f"gatehouse-{at:%Y%m%dT%H%M%SZ}{_SUFFIXES[database.driver.name]}"


def delete_oldest(newest: Path, keep: int) -> list[Path]:
    """Delete the oldest copies beside the newest one, of its kind, beyond so many. Return those that were deleted."""
    copies = sorted(
        each for each in newest.parent.glob(f"gatehouse-*{newest.suffix}") if _NAME.fullmatch(each.name)
    )
    oldest = copies[:-keep]
    for each in oldest:
        each.unlink()
    return oldest
