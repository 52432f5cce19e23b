"""Accept connections in a gevent worker, which leaves some of them to workers that are less busy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from gevent.pool import Pool
from gevent.server import StreamServer

# Enough turns for an idle worker to wake up, and too few to delay a connection noticeably.
_MAX_SKIPPED_TURNS = 16


class Listener(StreamServer):  # type: ignore[misc]
    """A listening socket, and the handler of its connections."""

    def __init__(self, listener: Any, handle: Callable[..., None], connections: Pool, **tls: Any) -> None:
        super().__init__(listener, partial(handle, self), spawn=connections, **tls)

    def take_queued(self, most: int) -> None:
        """Accept what waits: the kernel resets it when the last process closes the socket."""
        for _ in range(most):
            if self.full() or (accepted := StreamServer.do_read(self)) is None:
                return
            self.do_handle(*accepted)

    def getsockname(self) -> Any:
        """Return the address. gunicorn reads it for each connection, even after the socket has been closed."""
        return self.address


class FairListener(Listener):
    """A Listener that leaves new connections to less busy workers.

    The kernel wakes every worker for a new connection, and a busy worker is awake already, so it would accept nearly
    all of them. Here a worker skips as many turns of its loop as it has connections, and a worker with fewer is
    quicker.
    """

    max_accept = 1
    _turns_to_skip = 0

    def do_read(self) -> Any:
        """Accept a connection, unless turns are to be skipped."""
        if self._turns_to_skip > 0:
            self._turns_to_skip -= 1
            return None
        self._turns_to_skip = min(len(self.pool) + 1, _MAX_SKIPPED_TURNS)
        return super().do_read()
