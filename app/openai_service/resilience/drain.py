"""Reading answers to their end after their clients have left, to learn what they cost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from app.openai_service.streaming.events import Events


class DrainPool:
    """A limited number of answers that are read without a client, each for a limited time."""

    MAX_CONCURRENT = 8
    MAX_DURATION_S = 15.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._running = 0
        self.is_closed = False

    def acquire(self) -> bool:
        """Take a place and return True, or return False if none is free. Give it back with `release()`."""
        with self._lock:
            if self.is_closed or self._running >= self.MAX_CONCURRENT:
                return False
            self._running += 1
            return True

    def release(self) -> None:
        """Give a place back."""
        with self._lock:
            self._running -= 1

    def adopt(self, stream: Iterator[Events], finish: Callable[[], None]) -> bool:
        """Read the rest of a stream in a thread, then call `finish`. Return False if no place is free."""
        if not self.acquire():
            return False
        thread = threading.Thread(target=self._read, args=(stream, finish), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the process cannot start another thread
            self.release()
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

    def _read(self, stream: Iterator[Events], finish: Callable[[], None]) -> None:
        try:
            for _ in stream:  # yields at each tick at least
                if self.is_closed:
                    return
        finally:
            finish()
            self.release()
