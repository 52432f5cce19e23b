"""Write a copy beside its place, and put it there only when it is whole."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class CopyRefused(Exception):
    """A copy was not made or not put back. The message is a sentence for the operator."""


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Yield an empty file, readable by this user only, that becomes `target` if the block succeeds.

    Raises:
        CopyRefused: `target` exists, then or by now.
    """
    with partial_file(target) as partial:
        if target.exists():
            raise CopyRefused(f"{target} exists, and is not overwritten.")
        yield partial
        sync(partial)
        try:
            os.link(partial, target)  # a rename would replace what another process has put there meanwhile
        except FileExistsError:
            raise CopyRefused(f"{target} exists, and is not overwritten.") from None
    sync(target.parent)


@contextmanager
def partial_file(target: Path) -> Iterator[Path]:
    """Yield an empty file beside `target`, readable by this user only, that is removed after the block."""
    partial = target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or what a folder lists, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
