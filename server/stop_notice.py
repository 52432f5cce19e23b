"""Let a worker know whether the whole server stops, or only the worker itself.

The worker gets a SIGTERM in both cases. If the server stops, no other worker will answer: the worker goes on
accepting connections while it finishes its work, to answer that the server is stopping. If the worker is replaced
(a reload, fewer workers), it must leave new connections to the others.

gunicorn has no hook between its decision to stop and the signal, so the arbiter's `stop` is wrapped. All else that
ends a worker (a reload, fewer workers, a new binary, an operator's kill) counts as a replacement.
"""

from __future__ import annotations

import mmap
from typing import Any

from server.server_log import log_event

QUIT_S = 1.5
"""How long a worker takes that quits, on SIGQUIT or SIGINT: streams notice it within a second and send a last event.

A SIGINT to gunicorn that follows a SIGTERM kills the workers after two seconds.
"""

# One byte that the arbiter shares with its workers, which are forked from it.
_stop_flag = mmap.mmap(-1, 1)


def announce_stop(arbiter: Any) -> None:
    """Have the arbiter set the flag for its workers before it signals them to stop."""
    stop = arbiter.stop
    arbiter.is_stopping = False

    def announce_and_stop(graceful: bool = True) -> None:
        # After USR2, or if systemd holds the socket, other workers take the new connections.
        _stop_flag[0] = arbiter.reexec_pid == arbiter.master_pid == 0 and not arbiter.systemd
        if not arbiter.is_stopping:  # gunicorn calls this twice
            arbiter.is_stopping = True
            log_event("server.stopping", is_graceful=graceful)
        stop(graceful)

    arbiter.stop = announce_and_stop


def is_server_stopping() -> bool:
    """Return whether the whole server stops."""
    return _stop_flag[0] == 1
