"""Distinguish outages of a database from bugs, and log the outages."""

from __future__ import annotations

import logging

from app.runtime.store_guard import Contended, DatabaseUnavailable, StoreGuard
from app.storage.database.driver import Driver

log = logging.getLogger("app.ledger")


class DatabaseGuard(StoreGuard):
    """A StoreGuard that still admits readers while another process only blocks the writers."""

    def __init__(self, driver: Driver) -> None:
        """Assume that the database is available."""
        # Requests are refused during the outage, so it is logged as an error.
        super().__init__(driver.name, log=log, events="ledger.store_", level=logging.ERROR)
        self._readers_pass_writers = driver.readers_pass_writers
        self._is_locked = False

    def enter(self, *, writes: bool = True) -> bool:
        """Return whether this call is the trial of an unavailable database. Raises DatabaseUnavailable."""
        if not self.is_unavailable or (self._is_locked and not writes):
            return False
        return super().enter()

    def recheck(self, is_trial: bool, *, writes: bool = True) -> None:
        """Raise DatabaseUnavailable if the database has failed since this caller entered."""
        if self.is_unavailable and (writes or not self._is_locked):
            super().recheck(is_trial)

    def record_success(self, *, writes: bool = True) -> None:
        """Mark the database available. While only writers are blocked, a reader's success is ignored."""
        if self.is_unavailable and (writes or not self._is_locked):
            self._is_locked = False
            super().record_success()

    def record_failure(self, reason: str, advice: str | None = None, *, writes: bool = True) -> None:
        """Mark the database unavailable; if it is locked, for writers only."""
        self._is_locked = writes and self._readers_pass_writers and reason.startswith("SQLITE_BUSY")
        super().record_failure(reason, advice)


def to_unavailable(driver: Driver, error: BaseException) -> DatabaseUnavailable | None:
    """Return the outage that an error means; None if it is not one."""
    if isinstance(error, DatabaseUnavailable):
        return error
    classified = driver.classify_error(error)
    if classified is None:
        return None
    reason, is_available = classified
    return Contended(reason) if is_available else DatabaseUnavailable(reason, advice=driver.advise(reason))
