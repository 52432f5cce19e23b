"""Lifecycle: whether this process has been told to stop, and how long what runs in it may go on."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from app.problems import Problem

# Asked once a tick at the latest, a stream learns of the stop up to so much after it was told.
_SEEN_LATE_S = 1.0
# What the last event, the record of the call and the end of the process take at most.
_FAREWELL_S = 5.0


class Draining(Problem):
    """The server is being stopped or reloaded; inside a stream, too, that cannot be finished before."""

    status = 503
    code = "draining"
    sentence = "The server is being restarted; try again shortly."
    retry_after_s = 5.0
    outcome = "interrupted"


class Lifecycle:
    """False to everything until somebody calls watch(): under tests and `flask run` nobody does."""

    def __init__(self) -> None:
        self._is_alive: Callable[[], bool] = lambda: True
        self._graceful_timeout_s = 0.0
        self._ends_at: float | None = None

    def watch(self, is_alive: Callable[[], bool], *, graceful_timeout_s: float) -> None:
        """Tell whom to ask.

        Args:
            is_alive: False from when the process is told to stop. It is asked often, so it has to be cheap.
            graceful_timeout_s: how long after that the process is killed.
        """
        self._is_alive, self._graceful_timeout_s = is_alive, graceful_timeout_s

    @property
    def is_draining(self) -> bool:
        """The process has been told to stop; the time runs from when this is first seen."""
        if self._ends_at is not None:
            return True
        if self._is_alive():
            return False
        farewell_s = min(_FAREWELL_S, self._graceful_timeout_s / 3)
        self._ends_at = monotonic() + self._graceful_timeout_s - farewell_s - _SEEN_LATE_S
        return True

    @property
    def must_end(self) -> bool:
        """The process is killed so soon that what still runs has to say its last word now."""
        return self.is_draining and self._ends_at is not None and monotonic() >= self._ends_at
