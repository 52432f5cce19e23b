"""Reading answers to their end after their clients have left, to learn what they cost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from app.problems import Problem


class DrainPool:
    """A limited number of answers that are read without a client, each for a limited time.

    An answer that finds no place, or takes longer, is closed, and charged by what it may have used.
    """

    MAX_DURATION_S = 15.0
    """How long a stream is read. An answer in one piece is read until the deadline of its call: closing it saves nothing."""

    def __init__(self, max_concurrent: int = 32) -> None:
        self._max_concurrent = max_concurrent
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._running = 0
        self.is_closed = False

    def adopt(self, ticks: Iterator[object], finish: Callable[[], None]) -> bool:
        """Read the rest of an answer in a thread, then call `finish`. Return False if no place is free."""
        with self._lock:
            if self.is_closed or self._running >= self._max_concurrent:
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
        """Stop reading, and wait until all threads have ended: about a second, at most a few."""
        with self._lock:
            self.is_closed = True
            threads = list(self._threads)
        for thread in threads:
            thread.join(3.0)

    def _read(self, ticks: Iterator[object], finish: Callable[[], None]) -> None:
        try:
            with suppress(Problem):  # nobody is there to be told
                for _ in ticks:  # yields at each tick at least
                    if self.is_closed:
                        return
        finally:
            finish()
            self._release()

    def _release(self) -> None:
        with self._lock:
            self._running -= 1
