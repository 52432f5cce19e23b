"""Write a copy to a temporary file beside its target, and move it there when it is complete."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class CopyRefused(Exception):
    """A copy was not made or not restored. The message is a sentence for the operator."""


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Yield an empty file, readable by this user only, that becomes `target` if the block succeeds.

    Raises:
        CopyRefused: `target` exists, before the block or after it.
    """
    with partial_file(target) as partial:
        if target.exists():
            raise CopyRefused(f"{target} exists, and is not overwritten: choose another name.")
        yield partial
        sync(partial)
        try:
            os.link(partial, target)  # a rename would replace a file that another process has created meanwhile
        except FileExistsError:
            raise CopyRefused(f"{target} exists, and is not overwritten: choose another name.") from None
    sync(target.parent)


@contextmanager
def partial_file(target: Path) -> Iterator[Path]:
    """Yield an empty file beside `target`, readable by this user only. It is removed after the block."""
    partial = target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
