"""Bound the memory of requests that wait for the answer to another request: each holds its body while it waits."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from app.limits.concurrency import ServerBusy

_MAX_BYTES = 64 * 1024 * 1024
_MAX_BYTES_EACH = 16 * 1024 * 1024


class WaitingBodies:
    """Counts the bytes that wait in this process, by owner. A body may always wait while no other one does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes: Counter[str] = Counter()

    @contextmanager
    def hold(self, owner: str, size: int) -> Iterator[None]:
        """Count a body during the block.

        Raises:
            ServerBusy: the bodies that already wait are too large.
        """
        with self._lock:
            own, total = self._bytes[owner], self._bytes.total()
            if (own and own + size > _MAX_BYTES_EACH) or (total and total + size > _MAX_BYTES):
                raise ServerBusy
            self._bytes[owner] += size
        try:
            yield
        finally:
            with self._lock:
                self._bytes[owner] -= size
                self._bytes += Counter()  # removes owners without bytes
