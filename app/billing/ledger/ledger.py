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
    """Holds and settles the cost of all requests: each hold exactly once, and no budget is overspent.

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
        outbox_targets: Sequence[str] = (),
    ) -> None:
        """Create it.

        Args:
            database: has the tables.
            journal_dir: for settlements that could not be written to the database.
            writes_notes: whether callers record the progress of each request in its hold's note. The sweep charges the
                full hold of a request without a note.
            release_reserved: releases what a swept request had reserved outside of the ledger, except the tokens that
                it is charged. Called with the reservation from its note and these tokens.
            note_swept: called with the number of entries that were swept.
            outbox_targets: the systems that the outbox sends each settlement to.
        """
        self._database = database
        self._execute = _choose_execute(database)
        self._statements = Statements(database, outbox_targets)
        self.outbox_targets = tuple(outbox_targets)
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
            limits: no two of the same account and window.
            micro_usd: None if the model's price is unknown.
            tokens: upper bound of prompt plus completion.
            lease_s: longer than any request can take; after it the sweep settles the entry.
            also: called in the same transaction, to write further rows.

        Raises:
            BudgetExceeded: a limit has less left.
            Unpriced: a limit is in dollars, and the price is unknown.
            DatabaseUnavailable: the hold may or may not exist; the request must not be sent.
        """
        _check_price(limits, micro_usd)
        at_ms = clock.now_ms()
        # Accounts are locked in one order, so that two requests cannot deadlock.
        ordered = tuple(sorted(limits, key=lambda limit: (limit.key, limit.window)))
        hold = Hold(f"{at_ms:012x}{os.urandom(6).hex()}", ordered, micro_usd, tokens, at_ms)
        owner: dict[str, Any] = {"lease_until": at_ms + int(lease_s * 1000), "worker": name_worker()}
        if self._writes_notes and also is None:  # with `also` the hold is a batch's, which outlives this process
            hold.note = self._notes.begin(hold.id)
        try:
            if also is None and self._hold_at_once(hold, entry, **owner):
                return hold
            # An account does not exist yet, or its limit has less left.
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
            hold: updated in place.
            micro_usd: the increase; None if the model's price is unknown.
            tokens: the increase.

        Raises:
            BudgetExceeded: a limit has less left. The hold is unchanged, as it is after the next two errors.
            Unpriced: a limit is in dollars, and the price is unknown.
            DatabaseUnavailable: the database did not answer in time.
            HoldExpired: the lease has run out, and the sweep has settled the entry.
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
        """Replace a hold with the actual cost. Settling twice changes nothing.

        It raises no error: while the database is unavailable, the settlement is queued, then retried or journaled.
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
        except BaseException:  # such as GreenletExit, when gevent kills the greenlet
            self._background.add(hold.id, settlement)
            raise

    def settle_also(self, entry_id: str, settlement: Settlement, also: Callable[[Connection], None]) -> None:
        """Settle an entry, and write further rows in the same transaction.

        Args:
            entry_id: the id of its hold.
            settlement: the actual cost.
            also: called in the transaction, to write these rows.

        Raises:
            DatabaseUnavailable: nothing was written.
        """
        with self._database.transaction() as connection:
            self._statements.settle(connection, entry_id, settlement, at_ms=clock.now_ms())
            also(connection)

    def sweep(self) -> int:
        """Settle up to 500 entries of killed workers, whose leases have run out. Return how many.

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
        """Roll up the totals of past days. Return how many steps it took. Raises DatabaseUnavailable."""
        return roll_up(self._database)

    def start(self) -> None:
        """Start the background thread, which retries settlements, sweeps, rolls up totals and checkpoints."""
        self._background.start()

    def close(self) -> None:
        """Stop the background thread. Settle pending settlements, or write them to the journal."""
        self._background.close()
        self._notes.close()

    def count_pending(self) -> int:
        """Return how many settlements of this process are not in the database yet."""
        return self._background.count_pending()

    def count_journaled(self) -> int:
        """Return how many settlements are in the journal."""
        return self._journal.count()

    def retry(self) -> None:
        """Retry all pending settlements now, those in memory and those in the journal.

        Raises:
            DatabaseUnavailable: the rest stays pending.
        """
        self._background.retry()

    def _hold_at_once(self, hold: Hold, entry: NewEntry, **owner: Any) -> bool:
        """Add a hold's entry without a transaction. Return False if an account is missing, or a limit has less left."""
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
    # PostgreSQL has many connections. Statements that share one would wait for each other.
    if not (database.driver.has_one_writer and is_cooperative()):
        return database.execute
    from app.storage.database.connections.group_commit import GroupCommit  # here, as it needs gevent

    return GroupCommit(database).execute


def _check_price(limits: Sequence[Limit], micro_usd: int | None) -> None:
    for limit in limits:
        if limit.micro_usd is not None and micro_usd is None:
            raise Unpriced(limit)
