"""Count the entries that are not delivered to other systems yet."""

from __future__ import annotations

from dataclasses import dataclass

from app.storage.database.database import Database

# Ids begin with the time, so the smallest id is the oldest: only that one entry is read, not all that wait.
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
    """The undelivered entries of one system.

    Attributes:
        target: the system.
        waiting: number of entries that will be sent, including those whose last attempt failed.
        failed: number of waiting entries whose last attempt failed.
        given_up: number of entries that will not be sent again.
        oldest_at: when the oldest waiting entry was settled, in UTC milliseconds.
    """

    target: str
    waiting: int
    failed: int
    given_up: int
    oldest_at: int | None


def count_backlogs(database: Database) -> list[Backlog]:
    """Return the backlog of each system. Raises DatabaseUnavailable if the database does not answer."""
    with database.read_transaction() as connection:
        return [Backlog(**row) for row in connection.fetch_rows(_COUNT)]
