"""gevent's socket with the cost of one small message lowered: streams are made of little else."""

from __future__ import annotations

from typing import Any

import gevent.socket
from gevent import getcurrent


class StreamSocket(gevent.socket.socket):  # type: ignore[misc]
    """BackoffWaits before it reads, and writes before it waits.

    gevent reads first and, told that there is nothing, waits and reads again; on a stream there is hardly ever
    anything yet. ChatPipeline each wait it builds a Timeout, and before each write it asks the kernel for the size of
    a buffer. Here a wait is a watcher and a timer, and a write is a write. docs/performance.md has the figures.
    """

    _timer: tuple[Any, float] = (None, -1.0)

    def recv(self, size: int, *flags: int) -> bytes:
        timeout_s = self.timeout
        if timeout_s == 0.0:
            received: bytes = self._sock.recv(size, *flags)
            return received
        watcher, hub = self._read_event, self.hub
        if watcher.callback is not None:
            raise gevent.exceptions.ConcurrentObjectUseError("another greenlet waits on this socket")
        resume = getcurrent().switch
        timer = None if timeout_s is None else self._timer_of(timeout_s)
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
        except BlockingIOError:  # something else has read it meanwhile
            return self.recv(size, *flags)
        return received

    def sendall(self, data: Any, *flags: int) -> None:
        try:
            sent = self._sock.send(data, *flags)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            super().sendall(memoryview(data)[sent:], *flags)

    def _timer_of(self, timeout_s: float) -> Any:
        """One timer for all waits. It repeats, since only such a one can be set going again from its full time."""
        timer, for_s = self._timer
        if for_s != timeout_s:
            timer = self.hub.loop.timer(timeout_s, timeout_s)
            self._timer = timer, timeout_s
        return timer
