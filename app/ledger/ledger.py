"""Ledger: every admitted request ends in exactly one settled row, and no budget is overspent."""

from __future__ import annotations

import logging
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from app.database.database import Database, DatabaseUnavailable
from app.ledger.background import BackgroundSettler
from app.ledger.journal import Journal
from app.ledger.records import Hold, Limit, NewEntry, Settlement, Unpriced
from app.ledger.statements import Bookkeeping
from app.runtime import clock, process

_SWEPT_AT_ONCE = 500
# What a request that was never sent to the upstream is settled with.
_VOID = Settlement(outcome="not_admitted", source="reported", cost_micro_usd=0, tokens=0)

log = logging.getLogger("app.ledger")


class Ledger:
    """Reserve, call, settle, sweep.

    A hold is an upper bound of what the request may cost, so what is admitted cannot overspend.
    """

    def __init__(self, database: Database, journal_dir: Path) -> None:
        self._database = database
        self._books = Bookkeeping(database)
        self._retrying = BackgroundSettler(
            settle=self._settle, sweep=self.sweep, tidy=database.checkpoint, journal=Journal(journal_dir)
        )
        self._host = socket.gethostname()

    def hold(
        self,
        entry: NewEntry,
        limits: Sequence[Limit],
        *,
        micro_usd: int | None,
        tokens: int,
        lease_s: float,
        beside: Callable[[Connection, Hold], None] | None = None,
    ) -> Hold:
        """Admit a request, if each limit has so much left.

        Args:
            limits: of different accounts or windows.
            micro_usd: None where no price of the model is known.
            lease_s: after this the request counts as dead and its hold as spent, so it has to be longer than any
                request may take.
            beside: what else to write in the same transaction.

        Raises:
            BudgetExceeded: one has not.
            Unpriced: one is of money, and what this costs is not known.
            DatabaseUnavailable: it cannot be told.
        """
        _check_price(limits, micro_usd)
        at_ms = clock.now_ms()
        # In one order for all, so that no two requests wait for each other.
        ordered = tuple(sorted(limits, key=lambda limit: (limit.key, limit.window)))
        hold = Hold(f"{at_ms:012x}{secrets.token_hex(6)}", ordered, micro_usd, tokens, at_ms)
        owner: dict[str, Any] = {
            "lease_until": at_ms + int(lease_s * 1000),
            "worker": f"{self._host}:{process.pid}",
        }
        try:
            if beside is None and self._database.execute(*self._books.to_hold(hold, entry, **owner)):
                return hold
            # An account is not open yet, or has not so much left.
            with self._database.transaction() as connection:
                self._books.hold(connection, hold, entry, **owner)
                if beside is not None:
                    beside(connection, hold)
        except DatabaseUnavailable as error:
            if error.is_unsure:  # if it was made after all, nobody will use it
                self._retrying.add(hold.id, _VOID)
            raise
        return hold

    def extend(self, hold: Hold, *, micro_usd: int | None, tokens: int) -> None:
        """Hold so much more: another attempt may be billed beside the ones before it.

        Raises:
            BudgetExceeded, Unpriced, DatabaseUnavailable: the hold stays as it was.
            HoldExpired: its lease had run out.
        """
        _check_price(hold.limits, micro_usd)
        with self._database.transaction() as connection:
            self._books.extend(connection, hold, micro_usd=micro_usd or 0, tokens=tokens)
        hold.micro_usd = None if hold.micro_usd is None else hold.micro_usd + (micro_usd or 0)
        hold.tokens += tokens

    def settle(self, hold: Hold, settlement: Settlement) -> None:
        """Write down how a request ended and return what it held but did not spend. A second time changes nothing.

        It never fails: while the store is away it is kept and done later, by another process if need be.
        """
        try:
            self._settle(hold.id, settlement)
        except DatabaseUnavailable:
            self._retrying.add(hold.id, settlement)
        except Exception:
            # The sweep settles what cannot be written down as it is.
            log.exception("ledger.settle_failed", extra={"entry_id": hold.id})

    def settle_also(self, entry_id: str, settlement: Settlement, beside: Callable[[Connection], None]) -> None:
        """Settle together with what else is to be written: both are in the store then, or neither.

        Raises:
            DatabaseUnavailable: neither is.
        """
        with self._database.transaction() as connection:
            self._books.settle(connection, entry_id, settlement, at_ms=clock.now_ms())
            beside(connection)

    def sweep(self) -> int:
        """Settle requests whose lease has run out, as their worker was killed; how many there were.

        Raises:
            DatabaseUnavailable: the rest has to wait.
        """
        swept = 0
        while swept < _SWEPT_AT_ONCE and self._sweep_one():
            swept += 1
            time.sleep(0)  # let others have their turn
        if swept:
            log.warning("ledger.swept", extra={"entries": swept})
        return swept

    def start(self) -> None:
        """Sweep, settle again what could not be, and tidy the store, in the background of this process."""
        self._retrying.start()

    def close(self) -> None:
        """Settle what is still to be settled, or write it to the journal."""
        self._retrying.close()

    def retry(self) -> None:
        """Settle now what could not be before, the journal's included. Raises DatabaseUnavailable."""
        self._retrying.retry()

    def _settle(self, entry_id: str, settlement: Settlement) -> None:
        self._database.execute(*self._books.to_settle(entry_id, settlement, at_ms=clock.now_ms()))

    def _sweep_one(self) -> bool:
        with self._database.transaction() as connection:
            return self._books.expire_one(connection, at_ms=clock.now_ms())


def _check_price(limits: Sequence[Limit], micro_usd: int | None) -> None:
    for limit in limits:
        if limit.micro_usd is not None and micro_usd is None:
            raise Unpriced(limit)
