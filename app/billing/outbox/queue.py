"""OutboxQueue: the entries to send to each target, and those that were given up."""

# ruff: noqa: S608  # only names that this program knows get into statements

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.billing.outbox.targets import Entry
from app.runtime import clock
from app.storage.database.connections.sql import Where, write_marks
from app.storage.database.database import Database

# Seconds to wait after each failed attempt. The last attempt is after 16 hours, within the day for which Stripe
# recognizes duplicates.
WAITS_S = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800)
# Longer than any round. A process that has not reported its rows by then is dead.
LEASE_S = 300.0
_MAX_REASON = 300

_DUE = """
SELECT entry_id, attempts, first_sent_at FROM outbox WHERE target = ? AND due_at <= ?
ORDER BY due_at, entry_id LIMIT ?
"""
_TAKE = """
UPDATE outbox SET due_at = ?, attempts = attempts + 1, first_sent_at = coalesce(first_sent_at, ?) WHERE target = ?
"""
_PUT_BACK = "UPDATE outbox SET due_at = ?, last_error = ? WHERE target = ? AND entry_id = ?"
_GIVEN_UP = """
SELECT target, entry_id, attempts, coalesce(last_error, '') AS reason FROM outbox WHERE due_at IS NULL
ORDER BY entry_id LIMIT ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An entry that is due.

    Attributes:
        entry: the row of the ledger.
        attempts: number of attempts, including this one.
        first_sent_at: when the first attempt began, in UTC milliseconds.
    """

    entry: Entry
    attempts: int
    first_sent_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """An entry that is not sent again, as the target did not accept it."""

    target: str
    entry_id: str
    attempts: int
    reason: str


class OutboxQueue:
    """The rows of the outbox. Every method raises DatabaseUnavailable if the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, target: str, max_entries: int) -> list[Due]:
        """Return due entries, the longest due first, and lease them: no other process gets them within LEASE_S."""
        now = clock.now_ms()
        skips = "FOR UPDATE SKIP LOCKED" if self._database.driver.name == "postgresql" else ""
        with self._database.transaction() as connection:
            rows = connection.fetch_rows(f"{_DUE} {skips}", (target, now, max_entries))
            found = {row["entry_id"]: row for row in rows}
            marks = write_marks(found)
            take = f"{_TAKE} AND entry_id IN ({marks})"
            connection.execute(take, (now + int(LEASE_S * 1000), now, target, *found))
            entries = f"SELECT * FROM entries WHERE id IN ({marks}) ORDER BY id"
            return [
                Due(
                    entry=entry,
                    attempts=found[entry["id"]]["attempts"] + 1,
                    first_sent_at=found[entry["id"]]["first_sent_at"] or now,
                )
                for entry in connection.fetch_rows(entries, tuple(found))
            ]

    def remove(self, target: str, entry_ids: Sequence[str]) -> None:
        """Remove entries that the target has accepted."""
        delete = f"DELETE FROM outbox WHERE target = ? AND entry_id IN ({write_marks(entry_ids)})"
        with self._database.transaction() as connection:
            connection.execute(delete, (target, *entry_ids))

    def put_back(self, target: str, due: Due, reason: str, *, is_final: bool) -> bool:
        """Schedule the next attempt of an entry, or give it up. Return whether it is given up."""
        is_last = is_final or due.attempts > len(WAITS_S)
        at = None if is_last else clock.now_ms() + WAITS_S[due.attempts - 1] * 1000
        with self._database.transaction() as connection:
            connection.execute(_PUT_BACK, (at, reason[:_MAX_REASON], target, due.entry["id"]))
        return is_last

    def list_given_up(self, max_entries: int) -> list[GivenUp]:
        """Return entries that were given up, the oldest first."""
        with self._database.read_transaction() as connection:
            return [GivenUp(**row) for row in connection.fetch_rows(_GIVEN_UP, (max_entries,))]

    def retry_given_up(self, target: str | None) -> int:
        """Schedule the entries that were given up for a new first attempt. Return how many."""
        where = Where({"target": target})
        where.add("due_at IS NULL")
        again = f"UPDATE outbox SET due_at = 0, attempts = 0, first_sent_at = NULL {where}"
        with self._database.transaction() as connection:
            return int(connection.execute(again, where.values).rowcount)
