"""Lifecycle: whether this process is stopping, and how long the requests that run in it may go on."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from app.problems import Problem

# A stream asks once a tick, so it learns of the stop up to this much later.
_MAX_TICK_S = 1.0
# The last event, the record of the call and the exit of the process take at most this long.
_LAST_EVENTS_S = 5.0


class Draining(Problem):
    """The server is being stopped or reloaded; inside a stream, too, that cannot be finished before."""

    status = 503
    code = "draining"
    sentence = "The server is being restarted; try again shortly."
    retry_after_s = 5.0
    outcome = "interrupted"


class Lifecycle:
    """The state of the process. It is never draining before watch() is called, as in tests and under `flask run`."""

    def __init__(self) -> None:
        self._is_alive: Callable[[], bool] = lambda: True
        self._graceful_timeout_s = 0.0
        self._ends_at: float | None = None

    def watch(self, is_alive: Callable[[], bool], *, graceful_timeout_s: float) -> None:
        """Set what says whether the process is stopping.

        Args:
            is_alive: returns False from when the process is told to stop. It is called often, so it must be cheap.
            graceful_timeout_s: after this time the process is killed.
        """
        self._is_alive, self._graceful_timeout_s = is_alive, graceful_timeout_s

    @property
    def is_draining(self) -> bool:
        """Whether the process is stopping; the time runs from the first call that finds it so."""
        if self._ends_at is not None:
            return True
        if self._is_alive():
            return False
        last_events_s = min(_LAST_EVENTS_S, self._graceful_timeout_s / 3)
        self._ends_at = monotonic() + self._graceful_timeout_s - last_events_s - _MAX_TICK_S
        return True

    @property
    def must_end(self) -> bool:
        """Whether the process is killed so soon that streams have to send their last event now."""
        return self.is_draining and self._ends_at is not None and monotonic() >= self._ends_at
