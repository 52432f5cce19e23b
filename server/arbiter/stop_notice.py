"""Let a worker know why it is to stop, and so who takes what comes after it.

It gets a SIGTERM in every case. gunicorn has no hook between its decision to stop and the signal, so the arbiter's
`stop` is wrapped. All else that ends a worker (a reload, fewer workers, a new binary, an operator's kill) is a
replacement.
"""

from __future__ import annotations

import mmap
from enum import IntEnum
from typing import Any

from server.server_log import log_event

_QUIT_S, _LATE_QUIT_S = 6.0, 1.5


def find_quit_s(*, is_stopping: bool) -> float:
    """Return how long a worker takes at most that quits, on SIGQUIT or SIGINT.

    Streams notice it within a second and send a last event, later on a busy machine. A SIGINT to gunicorn that follows a
    SIGTERM kills the workers after two seconds; otherwise it waits as long as for any stop.

    Args:
        is_stopping: whether the worker was told to stop before.
    """
    return _LATE_QUIT_S if is_stopping else _QUIT_S


# One byte that the arbiter shares with its workers, which are forked from it.
_stop_flag = mmap.mmap(-1, 1)


class Stop(IntEnum):
    """Who takes the connections that are made once a worker stops."""

    REPLACED = 0
    """Another worker of this server does: the worker leaves them to it."""
    WAITED_FOR = 1
    """systemd holds the socket, and they wait in it for the next server: the worker ends soon."""
    PASSED_ON = 2
    """A proxy stands in front, which passes on what cannot connect: the worker stops to listen."""
    LAST = 3
    """Nobody does: the worker goes on accepting them while it finishes its work, to answer that the server stops."""

    @property
    def others_serve(self) -> bool:
        """Whether others serve meanwhile, so that nobody waits for the worker's end, and it may give its clients time."""
        return self in (Stop.REPLACED, Stop.PASSED_ON)


def announce_stop(arbiter: Any, *, is_behind_proxy: bool) -> None:
    """Have the arbiter set the flag for its workers before it signals them to stop."""
    stop = arbiter.stop
    arbiter.is_stopping = False

    def announce_and_stop(graceful: bool = True) -> None:
        _stop_flag[0] = _find_stop(arbiter, is_behind_proxy=is_behind_proxy)
        if not arbiter.is_stopping:  # gunicorn calls this twice
            arbiter.is_stopping = True
            log_event("server.stopping", is_graceful=graceful)
        stop(graceful)

    arbiter.stop = announce_and_stop


def find_stop() -> Stop:
    """Return who takes what comes after a worker that is to stop."""
    return Stop(_stop_flag[0])


def is_last() -> bool:
    """Return whether nobody takes what comes after it."""
    return _stop_flag[0] == Stop.LAST


def _find_stop(arbiter: Any, *, is_behind_proxy: bool) -> Stop:
    if arbiter.reexec_pid or arbiter.master_pid:  # after USR2
        return Stop.REPLACED
    if arbiter.systemd:
        return Stop.WAITED_FOR
    return Stop.PASSED_ON if is_behind_proxy else Stop.LAST
