"""Bookkeeping: the ledger's statements, each method a part of one transaction.

Locks are always taken in the same order (the entry, its accounts by key, the day), so that no two wait for each other.
"""

# ruff: noqa: S608  # what is put together here are our own words; values are bound

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection

from app.database.database import Database
from app.ledger.records import BudgetExceeded, Hold, HoldEnded, Limit, NewEntry, Settlement
from app.runtime.periods import day_of, left_s, period_of
from app.token_counts.usage import FIGURES, get_figures

_UNLIMITED = 2**62
_RUNNING_END_S = 5

_HOLD = """
UPDATE accounts SET held_micro_usd = held_micro_usd + ?, held_tokens = held_tokens + ?
WHERE key = ? AND period = ?
AND spent_micro_usd + held_micro_usd + ? <= ? AND spent_tokens + held_tokens + ? <= ?
"""
_OPEN_ACCOUNT = "INSERT INTO accounts (key, period) VALUES (?, ?) ON CONFLICT DO NOTHING"
_SPENT = "SELECT spent_micro_usd, spent_tokens FROM accounts WHERE key = ? AND period = ?"
_INSERT = """
INSERT INTO entries (
    id, request_id, tenant, user_id, token_id, route, operation, model,
    state, held_micro_usd, held_tokens, accounts, lease_until, worker, created_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?)
"""
_EXTEND = """
UPDATE entries SET held_micro_usd = held_micro_usd + ?, held_tokens = held_tokens + ?
WHERE id = ? AND state = 'pending'
"""
_TOTALS = (*FIGURES, "tokens", "cost_micro_usd")
_SETTLE = f"""
UPDATE entries SET state = 'settled', outcome = ?, source = ?, served_model = ?,
    {" = ?, ".join(_TOTALS)} = ?,
    price_version = ?, attempts = ?, tool_calls = ?, first_token_ms = ?, total_ms = ?, settled_at = ?,
    over_hold = CASE WHEN accounts <> '[]' AND (? > held_micro_usd OR ? > held_tokens) THEN 1 ELSE 0 END
WHERE id = ? AND state = 'pending'
RETURNING held_micro_usd, held_tokens, accounts, created_at, tenant, user_id, model, route
"""
_CHARGE = """
UPDATE accounts SET held_micro_usd = held_micro_usd - ?, held_tokens = held_tokens - ?,
    spent_micro_usd = spent_micro_usd + ?, spent_tokens = spent_tokens + ?
WHERE key = ? AND period = ?
"""
_COUNTS = ("requests", "estimated", "unpriced", *_TOTALS)
_ADD_TO_DAY = f"""
INSERT INTO daily_totals (day, tenant, user_id, model, route, {", ".join(_COUNTS)})
VALUES (?, ?, ?, ?, ?, 1, ?, ?, {", ".join("?" for _ in _TOTALS)})
ON CONFLICT (day, tenant, user_id, model, route) DO UPDATE SET
{", ".join(f"{name} = daily_totals.{name} + excluded.{name}" for name in _COUNTS)}
"""
_EXPIRED = """
SELECT id, held_micro_usd, held_tokens FROM entries WHERE state = 'pending' AND lease_until < ?
ORDER BY lease_until LIMIT 1
"""


class Bookkeeping:
    """What the ledger does within a transaction, in the words of its store."""

    def __init__(self, database: Database) -> None:
        sql = database.sql
        self._hold, self._open, self._spent = sql(_HOLD), sql(_OPEN_ACCOUNT), sql(_SPENT)
        self._insert, self._extend, self._settle = sql(_INSERT), sql(_EXTEND), sql(_SETTLE)
        self._charge, self._add_to_day = sql(_CHARGE), sql(_ADD_TO_DAY)
        # Each of several sweepers takes entries that no other one has at hand.
        is_shared = database.driver.name == "postgresql"
        self._expired = sql(_EXPIRED) + ("FOR UPDATE SKIP LOCKED" if is_shared else "")

    def hold(self, connection: Connection, hold: Hold, entry: NewEntry, *, lease_until: int, worker: str) -> None:
        """Add an entry that holds its amounts on the account of each limit. Raises BudgetExceeded."""
        run = _runner(connection)
        amounts = (hold.micro_usd or 0, hold.tokens)
        accounts = self._take(run, hold, amounts)
        run(
            self._insert,
            (
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
            ),
        )

    def extend(self, connection: Connection, hold: Hold, *, micro_usd: int, tokens: int) -> None:
        """Hold so much more. Raises BudgetExceeded or HoldEnded."""
        run = _runner(connection)
        if run(self._extend, (micro_usd, tokens, hold.id)).rowcount == 0:
            raise HoldEnded
        self._take(run, hold, (micro_usd, tokens))

    def settle(self, connection: Connection, entry_id: str, settlement: Settlement, *, at_ms: int) -> bool:
        """Move what is held to what is spent; False where that has been done already."""
        run = _runner(connection)
        cost, tokens = settlement.cost_micro_usd or 0, settlement.charged_tokens
        counts = (*get_figures(settlement), tokens, settlement.cost_micro_usd)
        found = run(
            self._settle,
            (
                settlement.outcome,
                settlement.source,
                settlement.model,
                *counts,
                settlement.price_version,
                settlement.attempts,
                settlement.tool_calls,
                settlement.first_token_ms,
                settlement.total_ms,
                at_ms,
                cost,
                tokens,
                entry_id,
            ),
        ).fetchall()
        if not found:
            return False
        held_micro_usd, held_tokens, accounts, created_at, tenant, user, model, route = found[0]
        for key, period in orjson.loads(accounts):
            run(self._charge, (held_micro_usd, held_tokens, cost, tokens, key, period))
        is_estimated, is_unpriced = settlement.source == "estimated", settlement.cost_micro_usd is None
        where = (day_of(created_at), tenant, user, settlement.model or model, route)
        run(self._add_to_day, (*where, int(is_estimated), int(is_unpriced), *(count or 0 for count in counts)))
        return True

    def expire_one(self, connection: Connection, *, at_ms: int) -> bool:
        """Settle one entry whose lease has run out, at all it holds: the upstream may have billed that."""
        found = _runner(connection)(self._expired, (at_ms,)).fetchall()
        if not found:
            return False
        entry_id, micro_usd, tokens = found[0]
        # Nothing held in money is a model without a price.
        expired = Settlement(
            outcome="expired", source="estimated", cost_micro_usd=micro_usd or None, tokens=tokens
        )
        return self.settle(connection, entry_id, expired, at_ms=at_ms)

    def _take(self, run: Any, hold: Hold, amounts: tuple[int, int]) -> list[tuple[str, str]]:
        accounts = []
        for limit in hold.limits:
            account = (limit.key, period_of(limit.window, hold.created_at))
            most = (
                _UNLIMITED if limit.micro_usd is None else limit.micro_usd,
                _UNLIMITED if limit.tokens is None else limit.tokens,
            )
            values = (*amounts, *account, amounts[0], most[0], amounts[1], most[1])
            if run(self._hold, values).rowcount == 0:
                run(self._open, account)
                if run(self._hold, values).rowcount == 0:
                    raise _exceeded(limit, amounts, most, run(self._spent, account).fetchone(), hold.created_at)
            accounts.append(account)
        return accounts


def _exceeded(
    limit: Limit, amounts: tuple[int, int], most: tuple[int, int], spent: tuple[int, int], at_ms: int
) -> BudgetExceeded:
    fits_beside = all(was + more <= limited for was, more, limited in zip(spent, amounts, most, strict=True))
    fits_at_all = all(more <= limited for more, limited in zip(amounts, most, strict=True))
    retry_after_s = _RUNNING_END_S if fits_beside else left_s(limit.window, at_ms) if fits_at_all else None
    return BudgetExceeded(limit, retry_after_s=retry_after_s, is_held_by_running=fits_beside)


def _runner(connection: Connection) -> Any:
    """Past SQLAlchemy's statements: they cost three times what SQLite takes for the work itself."""
    raw: Any = connection.connection.driver_connection
    return raw.execute
