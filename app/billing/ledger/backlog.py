"""Count the entries that other systems are still to be told of."""

from __future__ import annotations

from dataclasses import dataclass

from app.storage.database.database import Database

# Ids begin with a time, so one entry has to be looked up for the oldest, not as many as wait.
_COUNT = """
SELECT counted.target, counted.waiting, counted.failed, counted.given_up, entries.settled_at AS oldest_at
FROM (
    SELECT target, count(due_at) AS waiting, count(*) - count(due_at) AS given_up,
        count(*) FILTER (WHERE due_at IS NOT NULL AND last_error IS NOT NULL) AS failed,
        min(entry_id) FILTER (WHERE due_at IS NOT NULL) AS oldest_id
    FROM outbox GROUP BY target
) AS counted
LEFT JOIN entries ON entries.id = counted.oldest_id
ORDER BY counted.target
"""


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
    with database.read_transaction() as connection:
        return [Backlog(**row) for row in connection.fetch_rows(_COUNT)]
