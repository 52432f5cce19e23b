"""Tell outages of a database from bugs, and log them."""

from __future__ import annotations

import logging

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.database.driver import Driver
from app.runtime.store_guard import Contended, DatabaseUnavailable, StoreGuard

log = logging.getLogger("app.ledger")


def make_guard(driver: Driver) -> StoreGuard:
    """Return a guard that assumes that the database is available."""
    # Requests are refused during the outage, so it is logged as an error.
    return StoreGuard(driver.name, log=log, events="ledger.store_", level=logging.ERROR)


def to_unavailable(driver: Driver, error: BaseException) -> DatabaseUnavailable | None:
    """Return the outage that an error means; None if it is not one."""
    if isinstance(error, DatabaseUnavailable):
        return error
    if isinstance(error, PoolTimeout):
        return Contended("contended")
    fault = driver.classify_error(error.orig if isinstance(error, DBAPIError) and error.orig else error)
    if fault is None:
        return None
    reason, is_available = fault
    return Contended(reason) if is_available else DatabaseUnavailable(reason, advice=driver.advise(reason))
