"""A minimal event loop: one epoll and a heap of timers.

The fake upstream and the load client share the cores with what they measure, so each event must cost them
little: asyncio spends two to three times as much on one.
"""

import heapq
import select
import time
from collections.abc import Callable
from itertools import count

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
READ_WRITE = READ | WRITE


class Loop:
    """Calls a handler when its file descriptor is ready, and a timer when its time has come."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()

    def watch(self, fd: int, handler: Callable[[int], None], events: int = READ) -> None:
        """Call handler(events) each time fd is ready."""
        self._handlers[fd] = handler
        self._epoll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        """Wait for other events of a watched fd."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Stop watching fd. Call this before closing it."""
        del self._handlers[fd]
        self._epoll.unregister(fd)

    def at(self, when_ns: int, action: Callable[[], None]) -> None:
        """Call action once time.monotonic_ns() has reached when_ns."""
        heapq.heappush(self._timers, (when_ns, next(self._order), action))

    def run(self, is_done: Callable[[], bool]) -> None:
        """Serve events until is_done() returns True. It is called after each group of events."""
        timers, handlers, poll = self._timers, self._handlers, self._epoll.poll
        while not is_done():
            timeout_s = max(0.0, (timers[0][0] - time.monotonic_ns()) / 1e9) if timers else 1.0
            for fd, events in poll(timeout_s):
                handler = handlers.get(fd)
                if handler is not None:  # an earlier handler of this group may have closed it
                    handler(events)
            while timers and timers[0][0] <= time.monotonic_ns():
                heapq.heappop(timers)[2]()

    def rest(self, seconds: float) -> None:
        """Serve events for a given time."""
        end_ns = time.monotonic_ns() + int(seconds * 1e9)
        self.at(end_ns, lambda: None)
        self.run(lambda: time.monotonic_ns() >= end_ns)
