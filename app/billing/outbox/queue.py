"""OutboxQueue: which entries each system is still to be told of, and those that were given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update

from app.billing.outbox.targets import Entry
from app.database.database import Database
from app.ledger.tables import entries, outbox
from app.runtime import clock

# The waits after each failed attempt, in seconds: the last attempt is after 16 hours, within Stripe's day.
WAITS_S = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800)
# A process that has taken rows is dead if it has not reported them by then. Longer than any round.
LEASE_S = 300.0
_MAX_REASON = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An entry that is to be sent now.

    Attributes:
        entry: the row of the ledger.
        attempts: with this one.
        first_sent_at: when the first attempt began, in UTC milliseconds.
    """

    entry: Entry
    attempts: int
    first_sent_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """An entry that a system does not take."""

    target: str
    entry_id: str
    attempts: int
    reason: str


class OutboxQueue:
    """The rows of the outbox. Every method raises DatabaseUnavailable if the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, target: str, most: int) -> list[Due]:
        """Return entries that are due, the oldest first. No other process gets them within LEASE_S."""
        now = clock.now_ms()
        due = (
            select(outbox.c.entry_id, outbox.c.attempts, outbox.c.first_sent_at)
            .where(outbox.c.target == target, outbox.c.due_at <= now)
            .order_by(outbox.c.due_at, outbox.c.entry_id)
            .limit(most)
        )
        if self._database.driver.name == "postgresql":
            due = due.with_for_update(skip_locked=True)
        with self._database.transaction() as connection:
            found = {row.entry_id: row for row in connection.execute(due)}
            connection.execute(
                update(outbox)
                .where(outbox.c.target == target, outbox.c.entry_id.in_(found))
                .values(
                    due_at=now + int(LEASE_S * 1000),
                    attempts=outbox.c.attempts + 1,
                    first_sent_at=func.coalesce(outbox.c.first_sent_at, now),
                )
            )
            rows = connection.execute(select(entries).where(entries.c.id.in_(found)).order_by(entries.c.id))
            return [
                Due(
                    entry={str(name): value for name, value in row.items()},
                    attempts=found[row["id"]].attempts + 1,
                    first_sent_at=found[row["id"]].first_sent_at or now,
                )
                for row in rows.mappings()
            ]

    def remove(self, target: str, entry_ids: Sequence[str]) -> None:
        """Forget entries: the system has them."""
        with self._database.transaction() as connection:
            connection.execute(delete(outbox).where(outbox.c.target == target, outbox.c.entry_id.in_(entry_ids)))

    def put_back(self, target: str, due: Due, reason: str, *, is_final: bool) -> bool:
        """Have an entry sent again later, or give it up. Return whether it is given up."""
        is_last = is_final or due.attempts > len(WAITS_S)
        at = None if is_last else clock.now_ms() + WAITS_S[due.attempts - 1] * 1000
        with self._database.transaction() as connection:
            connection.execute(
                update(outbox)
                .where(outbox.c.target == target, outbox.c.entry_id == due.entry["id"])
                .values(due_at=at, last_error=reason[:_MAX_REASON])
            )
        return is_last

    def list_given_up(self, most: int) -> list[GivenUp]:
        """Return entries that were given up, the oldest first."""
        query = select(outbox).where(outbox.c.due_at.is_(None)).order_by(outbox.c.entry_id).limit(most)
        with self._database.read_transaction() as connection:
            return [
                GivenUp(
                    target=row.target,
                    entry_id=row.entry_id,
                    attempts=row.attempts,
                    reason=row.last_error or "",
                )
                for row in connection.execute(query)
            ]

    def retry_given_up(self, target: str | None) -> int:
        """Have entries that were given up sent again, as if for the first time. Return how many."""
        again = update(outbox).where(outbox.c.due_at.is_(None))
        if target is not None:
            again = again.where(outbox.c.target == target)
        with self._database.transaction() as connection:
            return int(connection.execute(again.values(due_at=0, attempts=0, first_sent_at=None)).rowcount)
