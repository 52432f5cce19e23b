"""Accept connections in a gevent worker, and leave some of them to less busy workers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import socket

# Enough turns of the loop for an idle worker to wake up, and too few to delay a connection noticeably.
_MAX_SKIPPED_TURNS = 16


class Listener(StreamServer):  # type: ignore[misc]
    """A listening socket that accepts connections as a given socket class, and passes them to a handler."""

    # private API: _accept() of sockets, as gevent calls it; guarded by tests/server/arbiter/test_gunicorn.py

    def __init__(
        self,
        listener: Any,
        handle: Callable[..., None],
        connections: Pool,
        *,
        socket_class: type[socket] = socket,
        **tls: Any,
    ) -> None:
        super().__init__(listener, partial(handle, self), spawn=connections, **tls)
        self._socket_class = socket_class

    def do_read(self) -> Any:
        """Accept a connection, if there is one."""
        listener = self.socket
        try:
            descriptor, address = listener._accept()
        except BlockingIOError:
            return None
        return self._socket_class(listener.family, listener.type, listener.proto, fileno=descriptor), address

    def accept_queued(self, limit: int) -> None:
        """Accept waiting connections, which the kernel resets when the last process closes the socket."""
        for _ in range(limit):
            if self.full() or (accepted := Listener.do_read(self)) is None:
                return
            self.do_handle(*accepted)

    def getsockname(self) -> Any:
        """Return the address. gunicorn reads it for each connection, even after the socket has been closed."""
        return self.address


class FairListener(Listener):
    """A Listener that leaves new connections to less busy workers.

    The kernel wakes every worker for a new connection. A busy worker is already awake, so it would accept nearly all
    connections. Here, a worker skips as many turns of its loop as it has connections, so a worker with fewer is faster.
    """

    max_accept = 1
    _turns_to_skip = 0

    def do_read(self) -> Any:
        """Accept a connection, unless this turn is skipped."""
        if self._turns_to_skip > 0:
            self._turns_to_skip -= 1
            return None
        self._turns_to_skip = min(len(self.pool) + 1, _MAX_SKIPPED_TURNS)
        return super().do_read()
