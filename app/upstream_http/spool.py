"""Keep large data in a temporary file, mapped into memory of which only what is being looked at is resident."""

from __future__ import annotations

import mmap
import tempfile
from typing import IO

SPOOL_BYTES = 8 * 1024 * 1024
"""Larger data goes to a file."""


class SpooledBytes(mmap.mmap):
    """The data of a spool. Slices are bytes; views of it stay valid as long as they are used."""

    def release(self) -> None:
        """Give back the memory of what has been looked at. It is read from the file again if needed."""
        self.madvise(mmap.MADV_DONTNEED)


class Spool:
    """Data that grows in a temporary file."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.size = 0

    def add(self, data: bytes) -> None:
        """Append data."""
        self._file.write(data)
        self.size += len(data)

    def map(self) -> SpooledBytes:
        """Return all of the data, which must not be empty, and close the file."""
        with self._file:
            self._file.flush()
            return SpooledBytes(self._file.fileno(), self.size, prot=mmap.PROT_READ)

    def close(self) -> None:
        """Drop the data."""
        self._file.close()


def release(view: bytes | memoryview) -> None:
    """Give back the memory of spooled data; other data stays."""
    if isinstance(view, memoryview) and isinstance(view.obj, SpooledBytes):
        view.obj.release()
