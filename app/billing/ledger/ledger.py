"""Hold money and tokens before a request, settle the actual cost after it, and sweep the holds of dead workers."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.billing.ledger.background import BackgroundSettler
from app.billing.ledger.call_notes import CallNotes, name_worker
from app.billing.ledger.journal import Journal
from app.billing.ledger.records import Hold, Limit, NewEntry, Settlement, Unpriced
from app.billing.ledger.rollups import roll_up
from app.billing.ledger.statements import Statements
from app.runtime import clock
from app.runtime.blocking import is_cooperative
from app.runtime.turns import give_turn
from app.storage.database.connections.connection import Connection
from app.storage.database.database import Database, DatabaseUnavailable

_MAX_SWEPT_AT_ONCE = 500
# Settles a request that was never sent to the upstream.
_VOID = Settlement(outcome="not_admitted", source="reported", cost_micro_usd=0, tokens=0)

log = logging.getLogger("app.ledger")


class Ledger:
    """The entries and accounts of all requests: every hold is settled exactly once, and no budget is overspent.

    A hold is an upper bound of the cost, so admitted requests cannot exceed a budget.
    """

    def __init__(
        self,
        database: Database,
        journal_dir: Path,
        *,
        writes_notes: bool = False,
        release_reserved: Callable[[bytes, int], None] | None = None,
        note_swept: Callable[[int], None] | None = None,
        told: Sequence[str] = (),
    ) -> None:
        """Create it.

        Args:
            database: holds the tables.
            journal_dir: for settlements that the database does not take.
            writes_notes: whether callers write down in each hold's note how far its request is. The sweep charges a
                request without a note at its full hold.
            release_reserved: gives back what a swept request had reserved elsewhere, by its note and beyond the tokens
                that it is charged.
            note_swept: is told how many entries were swept.
            told: the systems that the outbox tells of each settlement.
        """
        self._database = database
        self._execute = _choose_execute(database)
        self._statements = Statements(database, told)
        self.told = tuple(told)
        self._notes = CallNotes(journal_dir)
        self._writes_notes = writes_notes
        self._release_reserved = release_reserved
        self._note_swept = note_swept
        self._journal = Journal(journal_dir)
        self._background = BackgroundSettler(
            settle=self._settle,
            sweep=self.sweep,
            roll_up=self.roll_up,
            database=database,
            journal=self._journal,
            stay_alive=self._notes.stay_alive,
        )

    def hold(
        self,
        entry: NewEntry,
        limits: Sequence[Limit],
        *,
        micro_usd: int | None,
        tokens: int,
        lease_s: float,
        also: Callable[[Connection, Hold], None] | None = None,
    ) -> Hold:
        """Reserve a request's maximum cost in each limit's account, and add its entry.

        Args:
            entry: the request.
            limits: of different accounts or windows.
            micro_usd: None if the model's price is unknown.
            tokens: upper bound of prompt plus completion.
            lease_s: longer than any request can take; after it the sweep settles the entry.
            also: writes more in the same transaction.

        Raises:
            BudgetExceeded: a limit has less left.
            Unpriced: a limit is of money, and the price is unknown.
            DatabaseUnavailable: nothing is known to be held.
        """
        _check_price(limits, micro_usd)
        at_ms = clock.now_ms()
        # Accounts are locked in one order, so that two requests cannot deadlock.
        ordered = tuple(sorted(limits, key=lambda limit: (limit.key, limit.window)))
        hold = Hold(f"{at_ms:012x}{os.urandom(6).hex()}", ordered, micro_usd, tokens, at_ms)
        owner: dict[str, Any] = {"lease_until": at_ms + int(lease_s * 1000), "worker": name_worker()}
        if self._writes_notes and also is None:  # what is written along with it, a batch, outlives this process
            hold.note = self._notes.begin(hold.id)
        try:
            if also is None and self._hold_at_once(hold, entry, **owner):
                return hold
            # An account does not exist yet, or has less left.
            with self._database.transaction() as connection:
                self._statements.hold(connection, hold, entry, **owner)
                if also is not None:
                    also(connection, hold)
        except BaseException as error:
            is_killed = not isinstance(error, Exception)
            if is_killed or (isinstance(error, DatabaseUnavailable) and error.is_unsure):
                self._background.add(hold.id, _VOID)  # the hold may exist, and its request is refused
            else:
                self._notes.end(hold.id)
            raise
        return hold

    def extend(self, hold: Hold, *, micro_usd: int | None, tokens: int) -> None:
        """Increase a hold, as a further attempt may be billed as well.

        Args:
            hold: it is updated in place.
            micro_usd: the increase; None if the model's price is unknown.
            tokens: the increase.

        Raises:
            BudgetExceeded: a limit has less left; the hold is unchanged, as with the next two.
            Unpriced: a limit is of money, and the price is unknown.
            DatabaseUnavailable: the database did not answer in time.
            HoldExpired: the lease has run out and the entry is settled.
        """
        _check_price(hold.limits, micro_usd)
        amounts = {"micro_usd": micro_usd or 0, "tokens": tokens}
        at_once = self._statements.build_extend(hold, **amounts)
        if at_once is None or not self._execute(*at_once):
            with self._database.transaction() as connection:
                self._statements.extend(connection, hold, **amounts)
        hold.micro_usd = None if hold.micro_usd is None else hold.micro_usd + (micro_usd or 0)
        hold.tokens += tokens

    def settle(self, hold: Hold, settlement: Settlement) -> None:
        """Replace a hold by the actual cost. Settling twice changes nothing.

        It never raises: while the database is unavailable, the settlement is queued, and retried or journaled.
        """
        try:
            if hold.note is not None:
                hold.note.set_charge(settlement.cost_micro_usd, settlement.charged_tokens)
            self._settle(hold.id, settlement)
        except DatabaseUnavailable:
            self._background.add(hold.id, settlement)
        except Exception:
            # A bug in this settlement; the sweep will settle the entry.
            log.exception("ledger.settle_failed", extra={"entry_id": hold.id})
        except BaseException:  # as when gevent kills the greenlet
            self._background.add(hold.id, settlement)
            raise

    def settle_also(self, entry_id: str, settlement: Settlement, also: Callable[[Connection], None]) -> None:
        """Settle an entry, and write more in the same transaction.

        Args:
            entry_id: the id of its hold.
            settlement: the actual cost.
            also: writes the rest.

        Raises:
            DatabaseUnavailable: nothing was written.
        """
        with self._database.transaction() as connection:
            self._statements.settle(connection, entry_id, settlement, at_ms=clock.now_ms())
            also(connection)

    def sweep(self) -> int:
        """Settle up to 500 entries whose lease has run out, as their worker was killed. Return how many.

        Raises:
            DatabaseUnavailable: the rest stays pending.
        """
        swept = 0
        while swept < _MAX_SWEPT_AT_ONCE and self._sweep_one():
            swept += 1
            give_turn()
        if swept:
            log.warning("ledger.swept", extra={"entries": swept})
            if self._note_swept is not None:
                self._note_swept(swept)
        return swept

    def roll_up(self) -> int:
        """Roll up the totals of days that are over. Return how many steps it took. Raises DatabaseUnavailable."""
        return roll_up(self._database)

    def start(self) -> None:
        """Start the background thread: it retries settlements, sweeps, rolls up totals and checkpoints the database."""
        self._background.start()

    def close(self) -> None:
        """Stop the background thread; settle what is pending, or write it to the journal."""
        self._background.close()
        self._notes.close()

    def count_pending(self) -> int:
        """Return how many settlements of this process the database has not taken yet."""
        return self._background.count_pending()

    def count_journaled(self) -> int:
        """Return how many settlements are in the journal."""
        return self._journal.count()

    def retry(self) -> None:
        """Settle now what is pending, in memory and in the journal.

        Raises:
            DatabaseUnavailable: the rest stays pending.
        """
        self._background.retry()

    def _hold_at_once(self, hold: Hold, entry: NewEntry, **owner: Any) -> bool:
        """Add a hold's entry by a statement or a few. Return False if an account is missing, or has less left."""
        statement = self._statements.build_hold(hold, entry, **owner)
        if self._execute(*statement):
            return True
        opening = self._statements.build_open(hold)
        return opening is not None and bool(self._execute(*opening) and self._execute(*statement))

    def _settle(self, entry_id: str, settlement: Settlement) -> None:
        self._execute(*self._statements.build_settle(entry_id, settlement, at_ms=clock.now_ms()))
        self._notes.end(entry_id)

    def _sweep_one(self) -> bool:
        with self._database.transaction() as connection:
            expired = self._statements.expire_one(
                connection, at_ms=clock.now_ms(), host=socket.gethostname(), find_note=self._notes.find
            )
        if expired is not None and expired.reserved and self._release_reserved is not None:
            self._release_reserved(expired.reserved, expired.tokens)
        return expired is not None


def _choose_execute(database: Database) -> Callable[..., int]:
    # PostgreSQL has many connections: statements that shared one would wait for each other.
    if not (database.driver.has_one_writer and is_cooperative()):
        return database.execute
    from app.storage.database.connections.group_commit import GroupCommit  # here, as it needs gevent

    return GroupCommit(database).execute


def _check_price(limits: Sequence[Limit], micro_usd: int | None) -> None:
    for limit in limits:
        if limit.micro_usd is not None and micro_usd is None:
            raise Unpriced(limit)
