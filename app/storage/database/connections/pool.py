"""Pool open connections for reuse."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from app.runtime.store_guard import Contended


class Pool:
    """A bounded pool of a driver's connections. Each has one user at a time; the one used last is taken first."""

    def __init__(self, connect: Callable[[], Any], size: int, timeout_s: float) -> None:
        """Create an empty pool.

        Args:
            connect: opens a connection.
            size: the maximum number of connections.
            timeout_s: the maximum wait for a connection.
        """
        self._connect = connect
        self._size = size
        self._timeout_s = timeout_s
        self._idle: list[Any] = []
        self._lent: dict[Any, list[Any]] = {}  # each with the list of idle connections that it came from
        self._slots = threading.BoundedSemaphore(size)

    def take(self) -> Any:
        """Return a connection. The caller must give it back or discard it.

        Raises:
            Contended: all connections stayed in use until the timeout.
        """
        if not self._slots.acquire(timeout=self._timeout_s):
            raise Contended("contended")
        try:
            idle, raw = self._idle, None
            with suppress(IndexError):  # none is idle, or another thread has just taken the last one
                raw = idle.pop()
            if raw is None:
                raw = self._connect()
            self._lent[raw] = idle
        except BaseException:
            self._slots.release()
            raise
        return raw

    def give_back(self, raw: Any) -> None:
        """Return a connection to the pool. It is closed if dispose() was called since it was taken."""
        idle = self._lent[raw]
        if idle is not self._idle:
            self.discard(raw)
            return
        del self._lent[raw]
        idle.append(raw)
        self._slots.release()

    def discard(self, raw: Any) -> None:
        """Close a connection instead of giving it back."""
        del self._lent[raw]
        self._slots.release()
        _close(raw)

    @contextmanager
    def lend(self) -> Iterator[Any]:
        """Yield a connection for a block. If the block raises an error, the connection is closed."""
        raw = self.take()
        try:
            yield raw
        except BaseException:
            self.discard(raw)
            raise
        self.give_back(raw)

    def dispose(self) -> None:
        """Close the idle connections now, and those in use when they are given back."""
        idle, self._idle = self._idle, []
        for raw in idle:
            _close(raw)

    def forget(self) -> list[Any]:
        """Empty the pool without closing its connections, and return them."""
        forgotten = [*self._idle, *self._lent]
        self._idle, self._lent = [], {}
        self._slots = threading.BoundedSemaphore(self._size)
        return forgotten


def _close(raw: Any) -> None:
    with suppress(Exception):
        raw.close()
