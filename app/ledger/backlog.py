"""Count the entries that other systems are still to be told of."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from app.database.database import Database
from app.ledger.tables import entries, outbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What one system is still to be told of.

    Attributes:
        target: the system.
        waiting: entries that will be sent, those included whose last attempt failed.
        failed: of these, the entries whose last attempt failed.
        given_up: entries that will not be sent again.
        oldest_at: when the oldest that waits was settled, in UTC milliseconds.
    """

    target: str
    waiting: int
    failed: int
    given_up: int
    oldest_at: int | None


def count_backlogs(database: Database) -> list[Backlog]:
    """Return what waits, by system. Raises DatabaseUnavailable if the database does not answer."""
    waits = outbox.c.due_at.is_not(None)
    counted = (
        select(
            outbox.c.target,
            func.count(outbox.c.due_at).label("waiting"),
            func.count().filter(waits, outbox.c.last_error.is_not(None)).label("failed"),
            (func.count() - func.count(outbox.c.due_at)).label("given_up"),
            # Ids begin with a time, so one entry has to be looked up, not as many as wait.
            func.min(outbox.c.entry_id).filter(waits).label("oldest_id"),
        )
        .group_by(outbox.c.target)
        .subquery()
    )
    query = (
        select(
            counted.c.target,
            counted.c.waiting,
            counted.c.failed,
            counted.c.given_up,
            entries.c.settled_at.label("oldest_at"),
        )
        .outerjoin(entries, entries.c.id == counted.c.oldest_id)
        .order_by(counted.c.target)
    )
    with database.read_transaction() as connection:
        return [Backlog(**row) for row in connection.execute(query).mappings()]
