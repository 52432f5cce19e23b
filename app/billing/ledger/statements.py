"""Bind the ledger's values to the SQL of sql_texts.py, run it, and explain a refusal.

Locks are taken in one order (the entry, its accounts by key, the day), so that transactions cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson

from app.billing.ledger import sql_texts
from app.billing.ledger.call_notes import FoundNote
from app.billing.ledger.records import BudgetExceeded, Hold, HoldExpired, Limit, NewEntry, Settlement
from app.models.token_counts import get_figures
from app.runtime.periods import get_period, get_seconds_left
from app.runtime.store_guard import Contended
from app.storage.database.connections.connection import Connection
from app.storage.database.connections.sql import Statement
from app.storage.database.database import Database

_UNLIMITED = 2**62
# The Retry-After of a request that would fit without the holds of running ones: some of them will end by then.
_RUNNING_END_S = 5
_OTHER_HOST_MS = 90_000  # three rounds of its own host's sweep
# Tries of a hold that fits, while concurrent transactions win. SQLite has one writer, so the first try decides there.
_TRIES = 10


class Expired(NamedTuple):
    """A swept entry: the tokens it is charged, and what its call had reserved outside of the ledger."""

    tokens: int
    reserved: bytes


class Statements:
    """The ledger's statements in the dialect of its database."""

    def __init__(self, database: Database, outbox_targets: Sequence[str] = ()) -> None:
        """Create them. `outbox_targets` are the systems that the outbox sends each settlement to."""
        # Only PostgreSQL has concurrent writers: a transaction sees what others commit while it runs.
        self._is_shared = is_shared = database.driver.name == "postgresql"
        if not is_shared:
            outbox = [sql_texts.build_outbox_trigger(outbox_targets)] if outbox_targets else []
            database.set_up_writers([*sql_texts.SQLITE_TRIGGERS, *outbox])
        to_text = database.render_sql
        self._hold_unlimited = to_text(sql_texts.HOLD_UNLIMITED)
        self._hold = to_text(sql_texts.POSTGRES_HOLD)
        self._open_all = to_text(sql_texts.POSTGRES_OPEN_ALL)
        self._extend = to_text(sql_texts.POSTGRES_EXTEND)
        self._settle = to_text(
            sql_texts.build_postgres_settle(outbox_targets) if is_shared else sql_texts.SQLITE_SETTLE
        )
        self._open, self._read = to_text(sql_texts.OPEN_ACCOUNT), to_text(sql_texts.READ_ACCOUNT)
        self._extend_entry, self._extend_account = (
            to_text(sql_texts.EXTEND_ENTRY),
            to_text(sql_texts.EXTEND_ACCOUNT),
        )
        # Concurrent sweeps skip entries that another sweep has locked.
        self._find_expired = to_text(sql_texts.FIND_EXPIRED) + ("FOR UPDATE SKIP LOCKED" if is_shared else "")

    def build_hold(self, hold: Hold, entry: NewEntry, *, lease_until: int, worker: str) -> Statement:
        """Return the statement that adds an entry if each limit's account exists and has room.

        It changes one row then, else none.
        """
        amounts = (hold.micro_usd or 0, hold.tokens)
        accounts = [_get_account(limit, hold) for limit in hold.limits]
        values: tuple[Any, ...] = (
            hold.id,
            entry.request_id,
            entry.tenant,
            entry.user,
            entry.token_id,
            entry.route,
            entry.operation,
            entry.model,
            *amounts,
            orjson.dumps(accounts).decode(),
            lease_until,
            worker,
            hold.created_at,
        )
        if not accounts:
            return self._hold_unlimited, values
        limits = _list_limits(hold)
        if self._is_shared:
            return self._hold, (orjson.dumps(limits).decode(), *amounts, len(limits), *amounts, *values)
        for key, period, max_micro_usd, max_tokens in limits:
            values += (key, period, amounts[0], max_micro_usd, amounts[1], max_tokens)
        return sql_texts.SQLITE_HOLDS[len(limits)], values

    def build_open(self, hold: Hold) -> Statement | None:
        """Return the statement that opens the missing accounts of a hold. It changes a row for each.

        Return None on SQLite: there a transaction takes no round trips, and opens them too.
        """
        if not self._is_shared:
            return None
        return self._open_all, (orjson.dumps(_list_limits(hold)).decode(),)

    def build_extend(self, hold: Hold, *, micro_usd: int, tokens: int) -> Statement | None:
        """Return the statement that increases a hold if each account has room: it changes one row then, else none.

        Return None on SQLite: there a transaction takes no round trips, and increases it too.
        """
        if not self._is_shared:
            return None
        limits, amounts = _list_limits(hold), (micro_usd, tokens)
        values = (hold.id, orjson.dumps(limits).decode(), *amounts, len(limits), *amounts, *amounts)
        return self._extend, values

    def build_settle(self, entry_id: str, settlement: Settlement, *, at_ms: int) -> Statement:
        """Return the statement that settles an entry. It changes no row if the entry is settled already."""
        tokens = settlement.charged_tokens
        return self._settle, (
            settlement.outcome,
            settlement.source,
            settlement.model,
            *get_figures(settlement),
            tokens,
            settlement.cost_micro_usd,
            settlement.price_version,
            settlement.attempts,
            settlement.tool_calls,
            settlement.first_token_ms,
            settlement.total_ms,
            at_ms,
            settlement.cost_micro_usd or 0,
            tokens,
            entry_id,
        )

    def hold(self, connection: Connection, hold: Hold, entry: NewEntry, *, lease_until: int, worker: str) -> None:
        """Add an entry within a transaction, and open missing accounts.

        Raises:
            BudgetExceeded: a limit has less left.
            Contended: the hold fits, but a concurrent transaction won every try.
        """
        statement = self.build_hold(hold, entry, lease_until=lease_until, worker=worker)
        amounts = (hold.micro_usd or 0, hold.tokens)
        for _ in range(_TRIES):
            for limit in hold.limits:
                self._check(connection, limit, hold, amounts)
            if connection.execute(*statement).rowcount:
                return
        raise Contended("contended")

    def extend(self, connection: Connection, hold: Hold, *, micro_usd: int, tokens: int) -> None:
        """Increase a hold within a transaction.

        Raises:
            BudgetExceeded: a limit has less left.
            HoldExpired: the entry is settled already.
            Contended: the increase fits, but a concurrent transaction won every try.
        """
        amounts = (micro_usd, tokens)
        if connection.execute(self._extend_entry, (*amounts, hold.id)).rowcount == 0:
            raise HoldExpired
        for limit in hold.limits:
            account, maxima = _get_account(limit, hold), _get_maxima(limit)
            values = (*amounts, *account, amounts[0], maxima[0], amounts[1], maxima[1])
            for _ in range(_TRIES):
                if connection.execute(self._extend_account, values).rowcount:
                    break
                self._check(connection, limit, hold, amounts)
            else:
                raise Contended("contended")

    def settle(self, connection: Connection, entry_id: str, settlement: Settlement, *, at_ms: int) -> bool:
        """Settle an entry within a transaction. Return False if it is settled already."""
        return bool(connection.execute(*self.build_settle(entry_id, settlement, at_ms=at_ms)).rowcount)

    def expire_one(
        self,
        connection: Connection,
        *,
        at_ms: int,
        host: str,
        find_note: Callable[[str, str], FoundNote | None],
    ) -> Expired | None:
        """Settle one expired entry at the maximum cost that its note allows; without a note, at its full hold.

        Other hosts cannot read the note, so they wait a while for the host of the entry's worker. Return None if there
        is no expired entry.
        """
        values = (at_ms, at_ms - _OTHER_HOST_MS, f"{host}:%")
        found = connection.execute(self._find_expired, values).fetchall()
        if not found:
            return None
        entry_id, micro_usd, tokens, worker = found[0]
        note = find_note(entry_id, worker)
        # A hold of zero means that the price is unknown.
        cost, tokens = note.charge if note else (micro_usd or None, tokens)
        expired = Settlement(outcome="expired", source="estimated", cost_micro_usd=cost, tokens=tokens)
        self.settle(connection, entry_id, expired, at_ms=at_ms)
        return Expired(tokens, note.reserved if note else b"")

    def _check(self, connection: Connection, limit: Limit, hold: Hold, amounts: tuple[int, int]) -> None:
        """Open a limit's account if it is missing. Raises BudgetExceeded if it has less left."""
        account, maxima = _get_account(limit, hold), _get_maxima(limit)
        row = connection.execute(self._read, account).fetchone()
        if row is None:
            connection.execute(self._open, account)
        *spent, held_micro_usd, held_tokens = row or (0, 0, 0, 0)
        used = (spent[0] + held_micro_usd, spent[1] + held_tokens)
        if all(before + more <= maximum for before, more, maximum in zip(used, amounts, maxima, strict=True)):
            return
        fits_alone = all(
            before + more <= maximum for before, more, maximum in zip(spent, amounts, maxima, strict=True)
        )
        fits_empty = all(more <= maximum for more, maximum in zip(amounts, maxima, strict=True))
        retry_after_s = (
            _RUNNING_END_S
            if fits_alone
            else get_seconds_left(limit.window, hold.created_at)
            if fits_empty
            else None
        )
        raise BudgetExceeded(limit, retry_after_s=retry_after_s, is_held_by_running=fits_alone)


def _get_account(limit: Limit, hold: Hold) -> tuple[str, str]:
    """Return the key and period of a limit's account."""
    return limit.key, get_period(limit.window, hold.created_at)


def _list_limits(hold: Hold) -> list[tuple[str, str, int, int]]:
    """Return the key, period, maximum of micro-dollars and maximum of tokens of each limit."""
    return [(*_get_account(limit, hold), *_get_maxima(limit)) for limit in hold.limits]


def _get_maxima(limit: Limit) -> tuple[int, int]:
    """Return the maximum of micro-dollars and that of tokens, for the sum of spent and held."""
    return (
        _UNLIMITED if limit.micro_usd is None else limit.micro_usd,
        _UNLIMITED if limit.tokens is None else limit.tokens,
    )
