"""How a worker learns whether the whole server stops, or only itself.

Both are a SIGTERM to it. When the server stops, nobody else will answer: the worker goes on taking connections while
it finishes its work, to say so. When it is only replaced, by a reload or because it is one too many, all that it
would take are connections that others could serve.

gunicorn has no hook between the decision to stop and its signal to the workers, so the arbiter's `stop` is wrapped.
Its hooks for the other cases are many (a reload, fewer workers, a new binary), and a worker that an operator ends by
hand has none: what is not known to be a stop of the server is not treated as one.
"""

from __future__ import annotations

import mmap
from typing import Any

# One byte of memory that the arbiter and its workers, all forked from it, share.
_server_stops = mmap.mmap(-1, 1)


def announce_stop(arbiter: Any) -> None:
    """Have the arbiter tell its workers, before it sends them the signal, that there will be no others."""
    stop = arbiter.stop

    def announced_stop(graceful: bool = True) -> None:
        # After USR2, or when systemd holds the socket, others take the connections that these workers leave.
        _server_stops[0] = arbiter.reexec_pid == arbiter.master_pid == 0 and not arbiter.systemd
        stop(graceful)

    arbiter.stop = announced_stop


def server_stops() -> bool:
    return _server_stops[0] == 1
