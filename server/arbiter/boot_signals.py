"""Have no worker miss a signal to stop while it boots: it would serve on, and the server wait for it to its very limit.

A new worker has the arbiter's signal handlers until it installs its own. Those only queue a signal, for an arbiter
that the worker is not. So the signals are held back from before the fork until then.
"""

from __future__ import annotations

import signal
from typing import Any

_STOPS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}


def hold_stops(arbiter: Any) -> None:
    """Have the arbiter fork each worker with the signals held back, and get its own afterwards."""
    spawn_worker = arbiter.spawn_worker

    def spawn_and_take_stops() -> Any:
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        try:
            return spawn_worker()
        finally:
            take_stops()

    arbiter.spawn_worker = spawn_and_take_stops


def take_stops() -> None:
    """Take the signals from now on, and what was held back at once."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
