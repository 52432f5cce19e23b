"""StoreGuard: a store that failed is left alone for a second, so that it does not cost each caller its patience."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from app.problems import Problem
from app.runtime import clock

T = TypeVar("T")

RETRY_AFTER_S = 1.0
"""How long a store that failed is left alone, before one caller tries it again."""


class DatabaseUnavailable(Problem):
    """The database does not result in time; nothing was changed, unless `is_unsure`.

    The instance's text names the kind of fault and holds no address or secret.

    Attributes:
        is_unsure: the database was asked to commit, and did not say whether it did.
    """

    status = 503
    code = "store_unavailable"
    sentence = "The database is not available now; try again shortly."
    retry_after_s = 2.0

    def __init__(self, reason: str, *, is_unsure: bool = False) -> None:
        super().__init__(reason)
        self.is_unsure = is_unsure


class Contended(DatabaseUnavailable):
    """Others were always first; the store itself is well."""


class StoreGuard:
    """Lets one caller a second try a store that is away, and logs when it goes and comes back."""

    def __init__(self, store: str, *, log: logging.Logger, events: str, level: int = logging.WARNING) -> None:
        """Expect the store to be there.

        Args:
            store: its kind, for the log.
            events: what the names of the two events begin with: they end with "gone" and "back".
            level: how loudly "gone" is logged.
        """
        self._store = store
        self._log = log
        self._events = events
        self._level = level
        self._lock = threading.Lock()
        self._is_away = False
        self._away_since = 0.0
        self._retry_at = 0.0

    def call(self, step: Callable[[], T]) -> T:
        """Return what a step that uses the store returns.

        Raises:
            DatabaseUnavailable: the store is away, as the step found or an earlier one has.
        """
        is_trial = self.enter()
        try:
            result = step()
        except DatabaseUnavailable as error:
            self.record_failure(str(error))
            raise
        if is_trial:
            self.record_success()
        return result

    def enter(self) -> bool:
        """Tell whether the caller is the one who tries a store that is away.

        Raises:
            DatabaseUnavailable: it is away, and somebody has tried within the last second.
        """
        if not self._is_away:
            return False
        with self._lock:
            if self._is_away and clock.ticks() < self._retry_at:
                raise DatabaseUnavailable("away")
            self._retry_at = clock.ticks() + RETRY_AFTER_S
        return True

    def recheck(self, is_trial: bool) -> None:
        """Raise DatabaseUnavailable if the store has gone since this caller entered."""
        if self._is_away and not is_trial:
            raise DatabaseUnavailable("away")

    def record_failure(self, reason: str) -> None:
        """Note that the store is away."""
        with self._lock:
            self._retry_at = clock.ticks() + RETRY_AFTER_S
            if self._is_away:
                return
            self._is_away = True
            self._away_since = clock.ticks()
        self._log.log(self._level, f"{self._events}gone", extra={"store": self._store, "reason": reason})

    def record_success(self) -> None:
        """Note that the store has answered."""
        if self._is_away:
            self._note_return()

    def _note_return(self) -> None:
        with self._lock:
            if not self._is_away:
                return  # another caller was faster
            self._is_away = False
            away_s = round(clock.ticks() - self._away_since, 3)
        self._log.warning(f"{self._events}back", extra={"store": self._store, "away_s": away_s})
