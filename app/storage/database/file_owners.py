"""Find the owner of a file that the server's user cannot write: usually root, who has created it."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from pathlib import Path


def find_foreign_file(path: Path) -> str | None:
    """Return a sentence about a file of the ledger that another user owns and this one cannot write; None if none."""
    user = os.geteuid()
    for each in (path.parent, path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
        with suppress(OSError):  # it does not exist, or its folder cannot be read
            owner = each.stat().st_uid
            if owner != user and not _may_write(each):
                return f"{each.name} belongs to {_name(owner)}, and the server runs as {_name(user)}"
    return None


def _may_write(path: Path) -> bool:
    needed = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, needed, effective_ids=os.access in os.supports_effective_ids)


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
