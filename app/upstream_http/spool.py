"""Stores large data in a memory-mapped temporary file, of which only the parts in use are resident in memory."""

from __future__ import annotations

import mmap
import tempfile
from typing import IO

SPOOL_BYTES = 8 * 1024 * 1024
"""Larger data is stored in a file."""


class SpooledBytes(mmap.mmap):
    """The data of a spool. Slices are bytes. Its memory views stay valid as long as they are referenced."""

    def release(self) -> None:
        """Free the memory of the parts that were read. They are read from the file again when needed."""
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
        """Return all the data, which must not be empty, and close the file."""
        with self._file:
            self._file.flush()
            return SpooledBytes(self._file.fileno(), self.size, prot=mmap.PROT_READ)

    def close(self) -> None:
        """Discard the data."""
        self._file.close()


def release(view: bytes | memoryview) -> None:
    """Free the memory of a view if it is of spooled data."""
    if isinstance(view, memoryview) and isinstance(view.obj, SpooledBytes):
        view.obj.release()
