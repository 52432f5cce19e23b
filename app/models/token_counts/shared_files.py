"""Share files between all processes of a machine: they are written once and mapped, so they are in memory once."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from mmap import ACCESS_READ, mmap
from pathlib import Path


def map_file(path: Path, sha256: str) -> mmap | None:
    """Map a file; None if it does not exist, or has another hash."""
    with suppress(OSError), path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
            return mmap(file.fileno(), 0, access=ACCESS_READ)
    return None


def write_and_map(path: Path, content: bytes, sha256: str) -> mmap | None:
    """Write a file, unless another process has written it meanwhile, and map it; None if it cannot be written."""
    if (mapped := map_file(path, sha256)) is not None:
        return mapped
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(content)
            # Processes that have mapped the previous file still have that.
            Path(unfinished).replace(path)
        except OSError:
            Path(unfinished).unlink()
            raise
    return map_file(path, sha256)
