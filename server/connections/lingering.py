"""Close answered connections without blocking on their clients."""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections import Counter, deque
from typing import Any

# How long a client may take to close, as in gunicorn.
_LINGER_S = 2.0
# How long a client may continue to send, and the minimum that it must send in each interval. Many clients send the
# complete body before they read the answer.
_SENDING_S = 30.0
_SENDING_BYTES = 4096
_READ_BYTES = 65_536
# More connections could use up all file descriptors, which would end the worker. The oldest is closed instead.
_MAX_CONNECTIONS = 256


class LingeringConnections:
    """Connections whose answer is sent, until their clients have closed them.

    The kernel resets a connection that is closed while bytes of its request are unread, which may cut the end of the
    answer (RFC 9112 section 9.6). So the server shuts down its side first, and then reads for a while. gunicorn's
    threaded worker does that in its main thread, which accepts no connections for up to 2 s. This class does it between
    the other events of that thread.
    """

    def __init__(self, poller: selectors.BaseSelector) -> None:
        self._poller = poller
        # The time when each connection was added, what it has sent since its last check, and the times of the next checks.
        self._added_at: dict[socket.socket, float] = {}
        self._late_bytes: Counter[socket.socket] = Counter()
        self._checks: deque[tuple[float, socket.socket]] = deque()

    def add(self, sock: socket.socket) -> None:
        """Signal the end of the answer, and close the connection once the client has closed its side."""
        try:
            sock.shutdown(socket.SHUT_WR)
            self._poller.register(sock, selectors.EVENT_READ, self._read)
        except (OSError, ValueError, KeyError):
            sock.close()
            return
        if len(self._added_at) >= _MAX_CONNECTIONS:
            self._close(next(iter(self._added_at)))
        self._added_at[sock] = now = time.monotonic()
        self._checks.append((now + _LINGER_S, sock))

    def close_late(self) -> None:
        """Close connections whose clients have stopped sending, or have sent for too long."""
        now = time.monotonic()
        while self._checks and (self._checks[0][0] <= now or self._checks[0][1] not in self._added_at):
            sock = self._checks.popleft()[1]
            is_sending = self._late_bytes.pop(sock, 0) >= _SENDING_BYTES
            if is_sending and now < self._added_at[sock] + _SENDING_S:
                self._checks.append((now + _LINGER_S, sock))
            else:
                self._close(sock)

    def _read(self, sock: Any) -> None:
        try:
            data = sock.recv(_READ_BYTES, socket.MSG_DONTWAIT)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR):
                return
            data = b""
        if data:
            self._late_bytes[sock] += len(data)
        else:  # or it was already closed to free a place after the poller reported it
            self._close(sock)

    def _close(self, sock: socket.socket) -> None:
        if self._added_at.pop(sock, None) is not None:
            self._late_bytes.pop(sock, None)
            self._poller.unregister(sock)
            sock.close()
