"""After a failure of a store, stop calling it for a second, so that callers fail fast instead of waiting."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from app.problems import Problem
from app.runtime import clock

T = TypeVar("T")

RETRY_AFTER_S = 1.0
"""How long calls to a failed store are refused before one caller tries it again."""

# After an outage, other processes need time to detect its end and to catch up on their writes.
_CATCH_UP_RATIO = 3.0
_MAX_CATCH_UP_S = 120.0


class DatabaseUnavailable(Problem):
    """The store did not answer in time. Nothing was changed, unless `is_unsure`.

    The error's text is the reason, without addresses or secrets.

    Attributes:
        is_unsure: whether a commit was sent and not confirmed.
        advice: what the operator can do; None if unknown.
    """

    status = 503
    code = "store_unavailable"
    sentence = "The database is not available now; try again shortly."
    retry_after_s = 2.0

    def __init__(self, reason: str, *, is_unsure: bool = False, advice: str | None = None) -> None:
        super().__init__(reason)
        self.is_unsure = is_unsure
        self.advice = advice


class Contended(DatabaseUnavailable):
    """The store works, but other callers blocked it until the time limit."""


class StoreGuard:
    """Refuses calls to a store that is unavailable, except one trial a second, and logs its outages."""

    def __init__(self, store: str, *, log: logging.Logger, events: str, level: int = logging.WARNING) -> None:
        """Create it for a store that is assumed to be available.

        Args:
            store: the kind of the store, for the log.
            log: the logger of the events.
            events: prefix of the event names, before "gone" and "back".
            level: the log level of "gone".
        """
        self._store = store
        self._log = log
        self._events = events
        self._level = level
        self._lock = threading.Lock()
        self.is_unavailable = False
        self._unavailable_since = 0.0
        self._retry_at = 0.0
        self._caught_up_at = 0.0
        self._advice: str | None = None

    def call(self, step: Callable[[], T]) -> T:
        """Run a step that uses the store, and return its result.

        Raises:
            DatabaseUnavailable: the step raised it, or the store has failed within the last second.
        """
        is_trial = self.enter()
        try:
            result = step()
        except DatabaseUnavailable as error:
            self.record_failure(str(error), error.advice)
            raise
        if is_trial:
            self.record_success()
        return result

    def enter(self) -> bool:
        """Return whether this call is the trial of an unavailable store.

        Raises:
            DatabaseUnavailable: the store is unavailable, and was tried within the last second.
        """
        if not self.is_unavailable:
            return False
        with self._lock:
            if self.is_unavailable and clock.ticks() < self._retry_at:
                raise DatabaseUnavailable("away", advice=self._advice)
            self._retry_at = clock.ticks() + RETRY_AFTER_S
        return True

    def recheck(self, is_trial: bool) -> None:
        """Raise DatabaseUnavailable if the store has failed since this caller entered."""
        if self.is_unavailable and not is_trial:
            raise DatabaseUnavailable("away", advice=self._advice)

    @property
    def is_steady(self) -> bool:
        """Whether the store has been available long enough for other processes to have detected it.

        By then they have also written what they could not write during the outage.
        """
        return not self.is_unavailable and clock.ticks() >= self._caught_up_at

    def record_failure(self, reason: str, advice: str | None = None) -> None:
        """Mark the store unavailable."""
        with self._lock:
            self._advice = advice
            self._retry_at = clock.ticks() + RETRY_AFTER_S
            if self.is_unavailable:
                return
            self.is_unavailable = True
            self._unavailable_since = clock.ticks()
        self._log.log(
            self._level, f"{self._events}gone", extra={"store": self._store, "reason": reason, "advice": advice}
        )

    def record_success(self) -> None:
        """Mark the store available."""
        if self.is_unavailable:
            self._note_return()

    def _note_return(self) -> None:
        with self._lock:
            if not self.is_unavailable:
                return  # another caller has logged it
            self.is_unavailable = False
            now = clock.ticks()
            outage_s = round(now - self._unavailable_since, 3)
            self._caught_up_at = now + min(_CATCH_UP_RATIO * outage_s, _MAX_CATCH_UP_S)
        self._log.warning(f"{self._events}back", extra={"store": self._store, "away_s": outage_s})
