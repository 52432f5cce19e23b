"""Reduce the cost of small reads and writes with gevent's socket, of which streams consist."""

from __future__ import annotations

from typing import Any

import gevent.socket
from gevent import getcurrent


class StreamSocket(gevent.socket.socket):  # type: ignore[misc]
    """A socket that waits before it reads, and writes before it waits.

    gevent's socket reads first. On a stream that nearly always fails, because there is no data yet; then it waits and
    reads again. It creates a Timeout for each wait, and queries the kernel's buffer size before each write. Here, a wait
    costs a watcher and a timer, and a write one system call. docs/performance.md has the figures.
    """

    _timer: tuple[Any, float] = (None, -1.0)

    def recv(self, size: int, *flags: int) -> bytes:
        """Wait for data within the timeout, then read it."""
        timeout_s = self.timeout
        if timeout_s == 0.0:
            received: bytes = self._sock.recv(size, *flags)
            return received
        watcher, hub = self._read_event, self.hub
        if watcher.callback is not None:
            raise gevent.exceptions.ConcurrentObjectUseError("another greenlet waits on this socket")
        resume = getcurrent().switch
        timer = None if timeout_s is None else self._get_timer(timeout_s)
        watcher.start(resume, True)
        try:
            if timer is not None:
                timer.again(resume, False)
            if not hub.switch():
                raise TimeoutError("timed out")
        finally:
            watcher.stop()
            if timer is not None:
                timer.stop()
        try:
            received = self._sock.recv(size, *flags)
        except BlockingIOError:  # another reader was faster
            return self.recv(size, *flags)
        return received

    def sendall(self, data: Any, *flags: int) -> None:
        """Write all data, and wait only if the kernel's buffer is full."""
        try:
            sent = self._sock.send(data, *flags)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            super().sendall(memoryview(data)[sent:], *flags)

    def _get_timer(self, timeout_s: float) -> Any:
        """Return the timer of this socket. It repeats, because only a repeating timer can be restarted with again()."""
        timer, for_s = self._timer
        if for_s != timeout_s:
            timer = self.hub.loop.timer(timeout_s, timeout_s)
            self._timer = timer, timeout_s
        return timer
