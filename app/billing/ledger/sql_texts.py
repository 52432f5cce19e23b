"""The text of the ledger's SQL, for SQLite and PostgreSQL, with a `?` for each value.

A hold is one statement, and so is a settlement: one round trip, one transaction. On PostgreSQL, data-modifying common
table expressions write the other tables. SQLite has none, so triggers of the writing connection update them. These
triggers are temporary: the schema in the file stays the one that every version of this program expects.
"""

# ruff: noqa: S608  # only constants are interpolated; values are bound

from __future__ import annotations

from collections.abc import Sequence

from app.models.token_counts import FIGURES

_ENTRY = """(
    id, request_id, tenant, user_id, token_id, route, operation, model,
    state, held_micro_usd, held_tokens, accounts, lease_until, worker, created_at
)"""
_VALUES = "?, ?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?"

HOLD_UNLIMITED = f"INSERT INTO entries {_ENTRY} VALUES ({_VALUES})"
"""Add an entry without limits. Values: the entry's."""

MAX_LIMITS = 4
"""How many accounts one entry can be charged to."""

_HAS_ROOM = """EXISTS (
    SELECT 1 FROM accounts WHERE key = ? AND period = ?
    AND spent_micro_usd + held_micro_usd + ? <= ? AND spent_tokens + held_tokens + ? <= ?
)"""

SQLITE_HOLDS = {
    number: f"INSERT INTO entries {_ENTRY} SELECT {_VALUES} WHERE {' AND '.join([_HAS_ROOM] * number)}"
    for number in range(1, MAX_LIMITS + 1)
}
"""By the number of limits: add an entry if each account has room. Values: the entry's; then for each limit
key, period, micro-dollars to hold, their maximum, tokens to hold, their maximum."""

POSTGRES_HOLD = f"""
WITH locked AS MATERIALIZED (
    SELECT account.key, account.period FROM json_array_elements(?::json) AS wanted
    JOIN accounts AS account ON account.key = wanted->>0 AND account.period = wanted->>1
    WHERE account.spent_micro_usd + account.held_micro_usd + ? <= (wanted->>2)::bigint
    AND account.spent_tokens + account.held_tokens + ? <= (wanted->>3)::bigint
    ORDER BY account.key, account.period FOR UPDATE OF account
), admitted AS (
    SELECT 1 WHERE (SELECT count(*) FROM locked) = ?
), taken AS (
    UPDATE accounts SET held_micro_usd = held_micro_usd + ?, held_tokens = held_tokens + ?
    FROM locked, admitted WHERE accounts.key = locked.key AND accounts.period = locked.period
)
INSERT INTO entries {_ENTRY} SELECT {_VALUES} FROM admitted
"""
"""Add an entry if each account has room, with any number of limits. Values: the limits as JSON,
[[key, period, max micro-dollars, max tokens], …]; the two amounts; the number of limits; the amounts again; the
entry's."""

POSTGRES_OPEN_ALL = """
INSERT INTO accounts (key, period)
SELECT wanted->>0, wanted->>1 FROM json_array_elements(?::json) AS wanted ORDER BY 1, 2
ON CONFLICT DO NOTHING
"""
"""Open the missing accounts. Values: the accounts as JSON, [[key, period, …], …]."""

POSTGRES_EXTEND = """
WITH entry AS MATERIALIZED (
    SELECT id FROM entries WHERE id = ? AND state = 'pending' FOR UPDATE
), locked AS MATERIALIZED (
    SELECT account.key, account.period FROM entry CROSS JOIN json_array_elements(?::json) AS wanted
    JOIN accounts AS account ON account.key = wanted->>0 AND account.period = wanted->>1
    WHERE account.spent_micro_usd + account.held_micro_usd + ? <= (wanted->>2)::bigint
    AND account.spent_tokens + account.held_tokens + ? <= (wanted->>3)::bigint
    ORDER BY account.key, account.period FOR UPDATE OF account
), admitted AS (
    SELECT id FROM entry WHERE (SELECT count(*) FROM locked) = ?
), taken AS (
    UPDATE accounts SET held_micro_usd = held_micro_usd + ?, held_tokens = held_tokens + ?
    FROM locked, admitted WHERE accounts.key = locked.key AND accounts.period = locked.period
)
UPDATE entries SET held_micro_usd = held_micro_usd + ?, held_tokens = held_tokens + ?
FROM admitted WHERE entries.id = admitted.id
"""
"""Increase a hold if each account has room. Values: the entry's id; the limits as for POSTGRES_HOLD; the two amounts;
the number of limits; the amounts twice."""

_TOTALS = (*FIGURES, "tokens", "cost_micro_usd")
_SETTLE = f"""
UPDATE entries SET state = 'settled', outcome = ?, source = ?, served_model = ?,
    {" = ?, ".join(_TOTALS)} = ?,
    price_version = ?, attempts = ?, tool_calls = ?, first_token_ms = ?, total_ms = ?, settled_at = ?,
    over_hold = CASE WHEN accounts <> '[]' AND (? > held_micro_usd OR ? > held_tokens) THEN 1 ELSE 0 END
WHERE id = ? AND state = 'pending'
"""
_COUNTS = ("requests", "estimated", "unpriced", *_TOTALS)


def _add_to_day(day: str, entry: str, table: str | None = None) -> str:
    """Return the statement that adds an entry, of `table` or else the trigger's row, to the totals of its day."""
    values = (
        day,
        f"{entry}.tenant",
        f"{entry}.user_id",
        f"coalesce(nullif({entry}.served_model, ''), {entry}.model)",
        f"{entry}.route",
        "1",
        f"CASE {entry}.source WHEN 'estimated' THEN 1 ELSE 0 END",
        f"CASE WHEN {entry}.cost_micro_usd IS NULL THEN 1 ELSE 0 END",
        *(f"coalesce({entry}.{name}, 0)" for name in _TOTALS),
    )
    # VALUES, as SQLite would first write the result of a SELECT to a temporary table: daily_totals has triggers.
    row = f"VALUES ({', '.join(values)})" if table is None else f"SELECT {', '.join(values)} FROM {table}"
    return f"""
    INSERT INTO daily_totals (day, tenant, user_id, model, route, {", ".join(_COUNTS)})
    {row}
    ON CONFLICT (day, tenant, user_id, model, route) DO UPDATE SET
    {", ".join(f"{name} = daily_totals.{name} + excluded.{name}" for name in _COUNTS)}
    """


SQLITE_SETTLE = _SETTLE
"""Settle a pending entry: release its hold and charge its cost. Changes no row if the entry is settled already."""


def _update_each_account(changes: str) -> str:
    # One UPDATE for each possible account, as json_each() takes twice as long. The key is null for those an entry does
    # not have, and no account has a null key.
    return "\n".join(
        f"""UPDATE accounts SET {changes} WHERE key = json_extract(NEW.accounts, '$[{number}][0]')
        AND period = json_extract(NEW.accounts, '$[{number}][1]');"""
        for number in range(MAX_LIMITS)
    )


_TAKE = """
held_micro_usd = held_micro_usd + NEW.held_micro_usd, held_tokens = held_tokens + NEW.held_tokens
"""
_CHARGE = """
held_micro_usd = held_micro_usd - NEW.held_micro_usd, held_tokens = held_tokens - NEW.held_tokens,
spent_micro_usd = spent_micro_usd + coalesce(NEW.cost_micro_usd, 0), spent_tokens = spent_tokens + NEW.tokens
"""

SQLITE_TRIGGERS = (
    f"""
    CREATE TEMP TRIGGER IF NOT EXISTS take_from_accounts AFTER INSERT ON main.entries
    WHEN NEW.accounts <> '[]' BEGIN {_update_each_account(_TAKE)} END
    """,
    f"""
    CREATE TEMP TRIGGER IF NOT EXISTS charge_accounts AFTER UPDATE OF state ON main.entries
    WHEN NEW.accounts <> '[]' BEGIN {_update_each_account(_CHARGE)} END
    """,
    f"""
    CREATE TEMP TRIGGER IF NOT EXISTS add_to_day AFTER UPDATE OF state ON main.entries
    BEGIN
        {_add_to_day("strftime('%Y-%m-%d', NEW.created_at / 1000, 'unixepoch')", "NEW")};
    END
    """,
)
"""Update accounts and totals in the transaction of a hold or settlement. An entry's state changes only once."""

POSTGRES_SETTLE = f"""
WITH settled AS ({_SETTLE} RETURNING *), locked AS MATERIALIZED (
    SELECT account.key, account.period, settled.held_micro_usd AS was_held_micro_usd,
        settled.held_tokens AS was_held_tokens, coalesce(settled.cost_micro_usd, 0) AS cost_micro_usd, settled.tokens
    FROM settled CROSS JOIN json_array_elements(settled.accounts::json) AS charged
    JOIN accounts AS account ON account.key = charged->>0 AND account.period = charged->>1
    ORDER BY account.key, account.period FOR UPDATE OF account
), charged AS (
    UPDATE accounts SET held_micro_usd = held_micro_usd - was_held_micro_usd,
        held_tokens = held_tokens - was_held_tokens,
        spent_micro_usd = spent_micro_usd + locked.cost_micro_usd, spent_tokens = spent_tokens + locked.tokens
    FROM locked WHERE accounts.key = locked.key AND accounts.period = locked.period
), counted AS (
    {
    _add_to_day(
        "to_char(to_timestamp(settled.created_at / 1000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
        "settled",
        "settled",
    )
}
)
SELECT 1 FROM settled
"""
"""Settle a pending entry, as SQLITE_SETTLE does with its triggers. Returns a row if it has settled the entry."""

OPEN_ACCOUNT = "INSERT INTO accounts (key, period) VALUES (?, ?) ON CONFLICT DO NOTHING"
READ_ACCOUNT = """
SELECT spent_micro_usd, spent_tokens, held_micro_usd, held_tokens FROM accounts WHERE key = ? AND period = ?
"""

EXTEND_ENTRY = """
UPDATE entries SET held_micro_usd = held_micro_usd + ?, held_tokens = held_tokens + ?
WHERE id = ? AND state = 'pending'
"""
EXTEND_ACCOUNT = """
UPDATE accounts SET held_micro_usd = held_micro_usd + ?, held_tokens = held_tokens + ?
WHERE key = ? AND period = ?
AND spent_micro_usd + held_micro_usd + ? <= ? AND spent_tokens + held_tokens + ? <= ?
"""

FIND_EXPIRED = """
SELECT id, held_micro_usd, held_tokens, worker FROM entries
WHERE state = 'pending' AND lease_until < ? AND (lease_until < ? OR worker LIKE ?)
ORDER BY lease_until LIMIT 1
"""


def build_outbox_trigger(targets: Sequence[str]) -> str:
    """Return SQLite's trigger that adds a row to the outbox for each settlement and target."""
    rows = ", ".join(f"('{target}', NEW.id, 0)" for target in targets)
    return f"""
    CREATE TEMP TRIGGER IF NOT EXISTS tell_others AFTER UPDATE OF state ON main.entries
    BEGIN INSERT INTO outbox (target, entry_id, due_at) VALUES {rows}; END
    """


def build_postgres_settle(targets: Sequence[str]) -> str:
    """Return PostgreSQL's settlement, which also adds a row to the outbox for each target."""
    if not targets:
        return POSTGRES_SETTLE
    rows = ", ".join(f"('{target}')" for target in targets)
    queued = f"""queued AS (
    INSERT INTO outbox (target, entry_id, due_at)
    SELECT wanted.target, settled.id, 0 FROM settled, (VALUES {rows}) AS wanted (target)
)"""
    return POSTGRES_SETTLE.replace("counted AS (", f"{queued}, counted AS (")
