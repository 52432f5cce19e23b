"""Inform a worker why it must stop, and so who accepts further connections.

A worker gets a SIGTERM in every case. gunicorn has no hook between its decision to stop and the signal, so the
arbiter's `stop` is wrapped. Any other end of a worker (a reload, fewer workers, a new binary, an operator's kill)
counts as a replacement.
"""

from __future__ import annotations

import mmap
from enum import IntEnum
from typing import Any

from server.server_log import log_event

_QUIT_S, _LATE_QUIT_S = 6.0, 1.5


def find_quit_s(*, is_stopping: bool) -> float:
    """Return the maximum time that a worker takes to quit, on SIGQUIT or SIGINT.

    Streams notice it within a second, later on a busy machine, and send a last event. If gunicorn gets a SIGINT after
    a SIGTERM, it kills the workers after two seconds; otherwise it waits as long as for any stop.

    Args:
        is_stopping: whether the worker was already stopping.
    """
    return _LATE_QUIT_S if is_stopping else _QUIT_S


# One byte that the arbiter shares with the workers that it forks.
_stop_flag = mmap.mmap(-1, 1)


class Stop(IntEnum):
    """Who accepts connections that are made after a worker stops."""

    REPLACED = 0
    """Another worker of this server: the stopping worker accepts no more."""
    WAITED_FOR = 1
    """The next server: systemd holds the socket, in which connections wait, so the worker ends soon."""
    PASSED_ON = 2
    """Another server: a proxy passes on connections that this one refuses, so the worker stops listening."""
    LAST = 3
    """No other: the worker still accepts them while it finishes its requests, to answer that the server stops."""

    @property
    def others_serve(self) -> bool:
        """Whether other workers or servers serve meanwhile: then the worker can give its idle clients time."""
        return self in (Stop.REPLACED, Stop.PASSED_ON)


def announce_stop(arbiter: Any, *, is_behind_proxy: bool) -> None:
    """Make the arbiter set the flag for its workers before it signals them to stop."""
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
    """Return who accepts connections after this worker, which must stop."""
    return Stop(_stop_flag[0])


def is_last() -> bool:
    """Return whether no other server accepts connections after this worker."""
    return _stop_flag[0] == Stop.LAST


def _find_stop(arbiter: Any, *, is_behind_proxy: bool) -> Stop:
    if arbiter.reexec_pid or arbiter.master_pid:  # after USR2
        return Stop.REPLACED
    if arbiter.systemd:
        return Stop.WAITED_FOR
    return Stop.PASSED_ON if is_behind_proxy else Stop.LAST
