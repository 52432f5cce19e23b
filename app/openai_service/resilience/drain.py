"""Reads answers to their end after their clients have disconnected, to learn their cost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from app.problems import Problem


class DrainPool:
    """Reads a limited number of answers without their clients, each for a limited time.

    An answer for which no thread is free, or which takes longer, is closed and charged by its maximum usage.
    """

    MAX_CONCURRENT = 32
    MAX_DURATION_S = 15.0
    """The maximum time for a stream. Other answers are read until the call's deadline: closing them saves no tokens."""

    def __init__(self, max_concurrent: int | None = None) -> None:
        if max_concurrent is not None:
            self.MAX_CONCURRENT = max_concurrent
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._running = 0
        self.is_closed = False

    def adopt(self, ticks: Iterator[object], finish: Callable[[], None]) -> bool:
        """Read the rest of an answer in a thread, then call `finish`. Return False if no thread is free."""
        with self._lock:
            if self.is_closed or self._running >= self.MAX_CONCURRENT:
                return False
            self._running += 1
        thread = threading.Thread(target=self._read, args=(ticks, finish), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the process cannot start another thread
            self._release()
            return False
        with self._lock:
            self._threads = {thread, *(other for other in self._threads if other.is_alive())}
        return True

    def close(self) -> None:
        """Stop reading, and wait until all threads have ended, usually about a second."""
        with self._lock:
            self.is_closed = True
            threads = list(self._threads)
        for thread in threads:
            thread.join(3.0)

    def _read(self, ticks: Iterator[object], finish: Callable[[], None]) -> None:
        try:
            with suppress(Problem):  # no client is there to receive the error
                for _ in ticks:  # yields at each tick at least
                    if self.is_closed:
                        return
        finally:
            finish()
            self._release()

    def _release(self) -> None:
        with self._lock:
            self._running -= 1
