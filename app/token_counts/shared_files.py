"""Files that are made once and mapped by all processes of a machine, which so have them in memory once."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path


def map_kept(path: Path, sha256: str) -> mmap | None:
    """Map a file; None if it is not there, or not the one with this hash."""
    with suppress(OSError), path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
            return mmap(file.fileno(), 0, access=ACCESS_READ)
    return None


def keep(path: Path, content: bytes, sha256: str) -> mmap | None:
    """Write a file and map it; None if it cannot be written. Whoever has mapped a former one keeps that."""
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(content)
            Path(unfinished).replace(path)
        except OSError:
            Path(unfinished).unlink()
            raise
    return map_kept(path, sha256)
