"""Guard: a store that failed is left alone for a second, so that it does not cost each caller its patience."""

from __future__ import annotations

import logging
import threading

from app.ledger import clock
from app.problems import Problem

ASK_AGAIN_S = 1.0

log = logging.getLogger("app.ledger")


class StoreUnavailable(Problem):
    """The database does not answer in time.

    Nothing was changed, unless `is_unsure`.

    Attributes:
        is_unsure: it was told to commit, and did not say whether it has.
    """

    status = 503
    code = "store_unavailable"
    sentence = "The database is not available now; try again shortly."
    retry_after_s = 2.0

    def __init__(self, reason: str, *, is_unsure: bool = False) -> None:
        super().__init__(reason)
        self.is_unsure = is_unsure


class Contended(StoreUnavailable):
    """Others were always first; the store itself is well."""


class Guard:
    """Lets one caller a second try a store that is away, and says when it goes and comes back."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._is_away = False
        self._away_since = 0.0
        self._ask_again_at = 0.0

    def admit(self) -> bool:
        """Whether the caller is the one who tries a store that is away.

        Raises:
            StoreUnavailable: it is away, and somebody has tried within the last second.
        """
        if not self._is_away:
            return False
        with self._lock:
            if self._is_away and clock.ticks() < self._ask_again_at:
                raise StoreUnavailable("away")
            self._ask_again_at = clock.ticks() + ASK_AGAIN_S
        return True

    def recheck(self, is_trial: bool) -> None:
        """Raise StoreUnavailable if the store has gone since this caller was admitted."""
        if self._is_away and not is_trial:
            raise StoreUnavailable("away")

    def failed(self, reason: str) -> None:
        with self._lock:
            self._ask_again_at = clock.ticks() + ASK_AGAIN_S
            if self._is_away:
                return
            self._is_away = True
            self._away_since = clock.ticks()
        log.error("ledger.store_gone", extra={"store": self._store, "reason": reason})

    def answered(self) -> None:
        if self._is_away:
            self._note_return()

    def _note_return(self) -> None:
        with self._lock:
            if not self._is_away:
                return  # somebody else was faster
            self._is_away = False
            away_s = round(clock.ticks() - self._away_since, 3)
        log.warning("ledger.store_back", extra={"store": self._store, "away_s": away_s})
