"""Block stop signals while a worker boots. A worker that missed one would run until the server's graceful timeout.

A new worker has the arbiter's signal handlers until it installs its own. They only queue a signal for the arbiter's
loop, which a worker does not run. So the signals are blocked from before the fork until the worker's handlers are set.
"""

from __future__ import annotations

import signal
from typing import Any

_STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}


def block_stops_in_forks(arbiter: Any) -> None:
    """Make the arbiter block the signals while it forks a worker, and unblock its own afterwards."""
    spawn_worker = arbiter.spawn_worker

    def spawn_with_blocked_stops() -> Any:
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        try:
            return spawn_worker()
        finally:
            unblock_stops()

    arbiter.spawn_worker = spawn_with_blocked_stops


def unblock_stops() -> None:
    """Unblock the signals. Those that are pending are delivered at once."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
