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
    """Map a file, written unless another process has done so meanwhile; None if it cannot be written."""
    if (kept := map_kept(path, sha256)) is not None:
        return kept
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(content)
            # Whoever has mapped a former file keeps that.
            Path(unfinished).replace(path)
        except OSError:
            Path(unfinished).unlink()
            raise
    return map_kept(path, sha256)
