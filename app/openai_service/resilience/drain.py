"""DrainPool: answers read to their end though their visitors have left, to learn what they cost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from app.openai_service.streaming.events import Events


class DrainPool:
    """Room for a few answers at once that nobody waits for, each for a little while."""

    MAX_CONCURRENT = 8
    MAX_DURATION_S = 15.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._running = 0
        self.is_closed = False

    def acquire(self) -> bool:
        """Whether there is room for one more; if so, leave() when it has been read."""
        with self._lock:
            if self.is_closed or self._running >= self.MAX_CONCURRENT:
                return False
            self._running += 1
            return True

    def release(self) -> None:
        with self._lock:
            self._running -= 1

    def adopt(self, batches: Iterator[Events], finish: Callable[[], None]) -> bool:
        """Read a stream on to its end in a thread, then `finish`; False if there is no room."""
        if not self.acquire():
            return False
        thread = threading.Thread(target=self._read, args=(batches, finish), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the process may have no more threads
            self.release()
            return False
        with self._lock:
            self._threads = {thread, *(other for other in self._threads if other.is_alive())}
        return True

    def close(self) -> None:
        """End them all, within about a second."""
        with self._lock:
            self.is_closed = True
            threads = list(self._threads)
        for thread in threads:
            thread.join(3.0)

    def _read(self, batches: Iterator[Events], finish: Callable[[], None]) -> None:
        try:
            for _ in batches:  # one comes at each tick, if only an empty one
                if self.is_closed:
                    return
        finally:
            finish()
            self.release()
