"""Close answered connections without waiting for their clients."""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections import Counter, deque
from typing import Any

# How long a client may take to close, as gunicorn has it.
_LINGER_S = 2.0
# How long one may go on sending, and the least that it sends meanwhile. Many clients send a whole body before they look
# at the answer.
_SENDING_S = 30.0
_SENDING_BYTES = 4096
_READ_BYTES = 65_536
# More of them could take all file descriptors, without which the worker ends: the longest waiting makes room.
_MAX_CONNECTIONS = 256


class LingeringConnections:
    """Connections whose answer is sent, until their clients have closed them.

    The kernel resets a connection that is closed while bytes of its request are unread, which may cut the end of the
    answer (RFC 9112 section 9.6). So the server ends its side first and reads on for a while. gunicorn's threaded
    worker does that in its main thread, for up to 2 s a connection, while nobody else is accepted. This class does it
    between the other events of that thread.
    """

    def __init__(self, poller: selectors.BaseSelector) -> None:
        self._poller = poller
        # When each was added, and how much it has sent since it was looked at.
        self._added_at: dict[socket.socket, float] = {}
        self._late_bytes: Counter[socket.socket] = Counter()
        self._looks: deque[tuple[float, socket.socket]] = deque()

    def add(self, sock: socket.socket) -> None:
        """Tell the client that the answer is whole, and close the connection once the client has closed its side."""
        try:
            sock.shutdown(socket.SHUT_WR)
            self._poller.register(sock, selectors.EVENT_READ, self._read)
        except (OSError, ValueError, KeyError):
            sock.close()
            return
        if len(self._added_at) >= _MAX_CONNECTIONS:
            self._close(next(iter(self._added_at)))
        self._added_at[sock] = now = time.monotonic()
        self._looks.append((now + _LINGER_S, sock))

    def close_late(self) -> None:
        """Close those that do not send on, and those that have done so for too long."""
        now = time.monotonic()
        while self._looks and (self._looks[0][0] <= now or self._looks[0][1] not in self._added_at):
            sock = self._looks.popleft()[1]
            is_sending = self._late_bytes.pop(sock, 0) >= _SENDING_BYTES
            if is_sending and now < self._added_at[sock] + _SENDING_S:
                self._looks.append((now + _LINGER_S, sock))
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
        else:  # also of one that made room since the poller found it readable
            self._close(sock)

    def _close(self, sock: socket.socket) -> None:
        if self._added_at.pop(sock, None) is not None:
            self._late_bytes.pop(sock, None)
            self._poller.unregister(sock)
            sock.close()
