"""Track whether this process is stopping, and when its running requests must end."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from app.problems import Problem

# A stream checks once a tick, so it detects the stop with up to this delay.
_MAX_TICK_S = 1.0
# Time for the last events, the records of the calls and the exit of the process.
_LAST_EVENTS_S = 5.0


class Draining(Problem):
    """The server is being stopped or reloaded. Also raised in a stream that cannot finish before."""

    status = 503
    code = "draining"
    sentence = "The server is being restarted; try again shortly."
    retry_after_s = 5.0
    outcome = "interrupted"


class Lifecycle:
    """Tracks whether the process is draining. Without watch(), as in tests and `flask run`, it never is."""

    def __init__(self) -> None:
        self._is_alive: Callable[[], bool] = lambda: True
        self._is_quitting: Callable[[], bool] = lambda: False
        self._is_last: Callable[[], bool] = lambda: True
        self._graceful_timeout_s = 0.0
        self._ends_at: float | None = None

    def watch(
        self,
        is_alive: Callable[[], bool],
        *,
        graceful_timeout_s: float,
        is_quitting: Callable[[], bool] = lambda: False,
        is_last: Callable[[], bool] = lambda: True,
    ) -> None:
        """Set the functions that report the state of the process.

        Args:
            is_alive: returns False once the process must stop. It is called often, so it must be cheap.
            graceful_timeout_s: the time from then until the process is killed.
            is_quitting: returns True if the process ends within a second or two, without this time.
            is_last: returns whether no other process serves new requests once this one must stop.
        """
        self._is_alive, self._graceful_timeout_s, self._is_quitting = is_alive, graceful_timeout_s, is_quitting
        self._is_last = is_last

    @property
    def is_draining(self) -> bool:
        """Whether the process is stopping. Its time limit starts when this first returns True."""
        if self._ends_at is not None:
            return True
        if self._is_alive():
            return False
        last_events_s = min(_LAST_EVENTS_S, self._graceful_timeout_s / 3)
        self._ends_at = monotonic() + self._graceful_timeout_s - last_events_s - _MAX_TICK_S
        return True

    @property
    def is_refusing(self) -> bool:
        """Whether new requests are refused. Once another process has replaced this one, late ones are still served."""
        return self.is_draining and (self._is_last() or self.must_end)

    @property
    def must_end(self) -> bool:
        """Whether streams must send their last event now, before the process is killed."""
        if not self.is_draining or self._ends_at is None:
            return False
        return monotonic() >= self._ends_at or self._is_quitting()
