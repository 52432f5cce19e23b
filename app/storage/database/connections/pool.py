"""Keep connections open from one use to the next."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from app.runtime.store_guard import Contended


class Pool:
    """A number of a driver's connections, each lent to one user at a time, the last one used first."""

    def __init__(self, connect: Callable[[], Any], size: int, timeout_s: float) -> None:
        """Make one that has no connections yet.

        Args:
            connect: opens one.
            size: how many there may be.
            timeout_s: how long a user may wait for one.
        """
        self._connect = connect
        self._size = size
        self._timeout_s = timeout_s
        self._idle: list[Any] = []
        self._lent: dict[Any, list[Any]] = {}  # with the list that each is given back to
        self._slots = threading.BoundedSemaphore(size)

    def take(self) -> Any:
        """Return a connection for one user, who gives it back or discards it.

        Raises:
            Contended: all of them are in use for too long.
        """
        if not self._slots.acquire(timeout=self._timeout_s):
            raise Contended("contended")
        try:
            idle, raw = self._idle, None
            with suppress(IndexError):  # there is none, or another thread has just taken the last one
                raw = idle.pop()
            if raw is None:
                raw = self._connect()
            self._lent[raw] = idle
        except BaseException:
            self._slots.release()
            raise
        return raw

    def give_back(self, raw: Any) -> None:
        """Take back a connection, to be used again unless it is older than dispose()."""
        idle = self._lent[raw]
        if idle is not self._idle:
            self.discard(raw)
            return
        del self._lent[raw]
        idle.append(raw)
        self._slots.release()

    def discard(self, raw: Any) -> None:
        """Take back a connection that is not to be used again, and close it."""
        del self._lent[raw]
        self._slots.release()
        _close(raw)

    @contextmanager
    def lend(self) -> Iterator[Any]:
        """Lend a connection to a block. After a block that raises, it is closed."""
        raw = self.take()
        try:
            yield raw
        except BaseException:
            self.discard(raw)
            raise
        self.give_back(raw)

    def dispose(self) -> None:
        """Close all connections: those that are in use, when they are given back."""
        idle, self._idle = self._idle, []
        for raw in idle:
            _close(raw)

    def forget(self) -> list[Any]:
        """Begin anew without closing the connections that there were, and return them."""
        forgotten = [*self._idle, *self._lent]
        self._idle, self._lent = [], {}
        self._slots = threading.BoundedSemaphore(self._size)
        return forgotten


def _close(raw: Any) -> None:
    with suppress(Exception):
        raw.close()
