"""Close answered connections without waiting for their clients."""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections import deque
from typing import Any

# As gunicorn has them: how long a client may take to close, and how much it may still send.
_LINGER_S = 2.0
_MAX_LATE_BYTES = 65_536
_READ_BYTES = 4096


class LingeringConnections:
    """Connections whose answer is sent, until their clients have closed them.

    The kernel resets a connection that is closed while bytes of its request are unread, which may cut the end of the
    answer (RFC 9112 section 9.6). So the server ends its side first and reads on for a while. gunicorn's threaded
    worker does that in its main thread, for up to 2 s a connection, while nobody else is accepted. This class does it
    between the other events of that thread.
    """

    def __init__(self, poller: selectors.BaseSelector) -> None:
        self._poller = poller
        self._ends: deque[tuple[float, socket.socket]] = deque()
        self._late_bytes: dict[socket.socket, int] = {}

    def add(self, sock: socket.socket) -> None:
        """Tell the client that the answer is whole, and close the connection once the client has closed its side."""
        try:
            sock.shutdown(socket.SHUT_WR)
            self._poller.register(sock, selectors.EVENT_READ, self._read)
        except (OSError, ValueError, KeyError):
            sock.close()
            return
        self._late_bytes[sock] = 0
        self._ends.append((time.monotonic() + _LINGER_S, sock))

    def close_late(self) -> None:
        """Close those whose clients have had their time."""
        now = time.monotonic()
        while self._ends and (self._ends[0][0] <= now or self._ends[0][1] not in self._late_bytes):
            self._close(self._ends.popleft()[1])

    def _read(self, sock: Any) -> None:
        try:
            data = sock.recv(_READ_BYTES, socket.MSG_DONTWAIT)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR):
                return
            data = b""
        self._late_bytes[sock] += len(data)
        if not data or self._late_bytes[sock] >= _MAX_LATE_BYTES:
            self._close(sock)

    def _close(self, sock: socket.socket) -> None:
        if self._late_bytes.pop(sock, None) is not None:
            self._poller.unregister(sock)
            sock.close()
