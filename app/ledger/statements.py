"""Statements: what the ledger does to its tables, by the statements of sql.py.

Locks are always taken in the same order (the entry, its accounts by key, the day), so that no two wait for each other.
"""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection

from app.database.database import Database
from app.ledger import sql_texts
from app.ledger.records import BudgetExceeded, Hold, HoldExpired, Limit, NewEntry, Settlement
from app.runtime.periods import get_period, get_seconds_left
from app.runtime.store_guard import Contended
from app.token_counts import get_figures

_UNLIMITED = 2**62
_RUNNING_END_S = 5
# How often a hold that fits is tried while others are always first; under SQLite nobody else is.
_TRIES = 10

Statement = tuple[str, tuple[Any, ...]]
"""A statement's text and its values."""


class Statements:
    """The ledger's statements, in the words of its store, and what they mean together."""

    def __init__(self, database: Database) -> None:
        # Each of several servers' processes sees what others change while its transaction runs.
        self._is_shared = is_shared = database.driver.name == "postgresql"
        if not is_shared:
            database.set_up_writers(sql_texts.SQLITE_TRIGGERS)
        to_text = database.render_sql
        self._hold_unlimited = to_text(sql_texts.HOLD_UNLIMITED)
        self._hold = to_text(sql_texts.POSTGRES_HOLD)
        self._settle = to_text(sql_texts.POSTGRES_SETTLE if is_shared else sql_texts.SQLITE_SETTLE)
        self._open, self._read = to_text(sql_texts.OPEN_ACCOUNT), to_text(sql_texts.READ_ACCOUNT)
        self._extend_entry, self._extend_account = (
            to_text(sql_texts.EXTEND_ENTRY),
            to_text(sql_texts.EXTEND_ACCOUNT),
        )
        # Each of several sweepers takes entries that no other one has at hand.
        self._find_expired = to_text(sql_texts.FIND_EXPIRED) + ("FOR UPDATE SKIP LOCKED" if is_shared else "")

    def build_hold(self, hold: Hold, entry: NewEntry, *, lease_until: int, worker: str) -> Statement:
        """Return the statement that adds an entry, if each of its limits' accounts is open and has room for it.

        It changes one row then, and else none.
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
        limits = [(*account, *_get_maxima(limit)) for account, limit in zip(accounts, hold.limits, strict=True)]
        if self._is_shared:
            return self._hold, (orjson.dumps(limits).decode(), *amounts, len(limits), *amounts, *values)
        for key, period, max_micro_usd, max_tokens in limits:
            values += (key, period, amounts[0], max_micro_usd, amounts[1], max_tokens)
        return sql_texts.SQLITE_HOLDS[len(limits)], values

    def build_settle(self, entry_id: str, settlement: Settlement, *, at_ms: int) -> Statement:
        """Return the statement that moves what is held to what is spent: one row then, none where that is done."""
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
        """Add an entry within a transaction, open accounts that are missing, or say what refuses it.

        Raises:
            BudgetExceeded: a limit has too little left.
            Contended: it had each time it was asked, and others were always first.
        """
        run = _get_execute(connection)
        statement = self.build_hold(hold, entry, lease_until=lease_until, worker=worker)
        amounts = (hold.micro_usd or 0, hold.tokens)
        for _ in range(_TRIES):
            for limit in hold.limits:
                self._check(run, limit, hold, amounts)
            if run(*statement).rowcount:
                return
        raise Contended("contended")

    def extend(self, connection: Connection, hold: Hold, *, micro_usd: int, tokens: int) -> None:
        """Hold so much more. Raises BudgetExceeded or HoldExpired."""
        run = _get_execute(connection)
        amounts = (micro_usd, tokens)
        if run(self._extend_entry, (*amounts, hold.id)).rowcount == 0:
            raise HoldExpired
        for limit in hold.limits:
            account, most = _get_account(limit, hold), _get_maxima(limit)
            values = (*amounts, *account, amounts[0], most[0], amounts[1], most[1])
            for _ in range(_TRIES):
                if run(self._extend_account, values).rowcount:
                    break
                self._check(run, limit, hold, amounts)
            else:
                raise Contended("contended")

    def settle(self, connection: Connection, entry_id: str, settlement: Settlement, *, at_ms: int) -> bool:
        """Settle within a transaction; return False where that has been done already."""
        return bool(_get_execute(connection)(*self.build_settle(entry_id, settlement, at_ms=at_ms)).rowcount)

    def expire_one(self, connection: Connection, *, at_ms: int) -> bool:
        """Settle one entry whose lease has run out, at all it holds: the upstream may have billed that."""
        found = _get_execute(connection)(self._find_expired, (at_ms,)).fetchall()
        if not found:
            return False
        entry_id, micro_usd, tokens = found[0]
        # Nothing held in money is a model without a price.
        expired = Settlement(
            outcome="expired", source="estimated", cost_micro_usd=micro_usd or None, tokens=tokens
        )
        return self.settle(connection, entry_id, expired, at_ms=at_ms)

    def _check(self, run: Any, limit: Limit, hold: Hold, amounts: tuple[int, int]) -> None:
        """Open the account of a limit if it is missing. Raises BudgetExceeded if it has not so much left."""
        account, most = _get_account(limit, hold), _get_maxima(limit)
        found = run(self._read, account).fetchone()
        if found is None:
            run(self._open, account)
        *spent, held_micro_usd, held_tokens = found or (0, 0, 0, 0)
        used = (spent[0] + held_micro_usd, spent[1] + held_tokens)
        if all(was + more <= limited for was, more, limited in zip(used, amounts, most, strict=True)):
            return
        fits_beside = all(was + more <= limited for was, more, limited in zip(spent, amounts, most, strict=True))
        fits_at_all = all(more <= limited for more, limited in zip(amounts, most, strict=True))
        retry_after_s = (
            _RUNNING_END_S
            if fits_beside
            else get_seconds_left(limit.window, hold.created_at)
            if fits_at_all
            else None
        )
        raise BudgetExceeded(limit, retry_after_s=retry_after_s, is_held_by_running=fits_beside)


def _get_account(limit: Limit, hold: Hold) -> tuple[str, str]:
    """Return the key and the period of the account that a limit is of."""
    return limit.key, get_period(limit.window, hold.created_at)


def _get_maxima(limit: Limit) -> tuple[int, int]:
    """Return how many micro-dollars and tokens an account may have, spent and held."""
    return (
        _UNLIMITED if limit.micro_usd is None else limit.micro_usd,
        _UNLIMITED if limit.tokens is None else limit.tokens,
    )


def _get_execute(connection: Connection) -> Any:
    """Return what runs a statement: not SQLAlchemy, which costs three times what SQLite takes for the work."""
    raw: Any = connection.connection.driver_connection
    return raw.execute
