"""The ledger's tables: one row a request, what each budget has left, and what each day came to.

Amounts are integers of micro-dollars, times integers of UTC milliseconds.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, SmallInteger, Table, Text, text

from app.ledger.metadata import metadata
from app.token_counts.usage import FIGURES


def _amount(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


entries = Table(
    "entries",
    metadata,
    Column("id", Text, primary_key=True),  # begins with the time, so that rows are added at the end
    Column("request_id", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("token_id", Text),
    Column("route", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("served_model", Text),
    Column("state", Text, nullable=False),  # pending, settled
    Column("outcome", Text),
    Column("source", Text),  # reported, estimated, cached
    *(Column(name, BigInteger) for name in FIGURES),
    Column("tokens", BigInteger),  # what budgets are charged: prompt and completion, or the whole hold
    Column("cost_micro_usd", BigInteger),  # null: no price is known
    Column("price_version", Text),
    Column("attempts", Integer),
    Column("tool_calls", Integer),  # those that were run here
    Column("first_token_ms", Integer),
    Column("total_ms", Integer),
    _amount("held_micro_usd"),
    _amount("held_tokens"),
    Column("over_hold", SmallInteger, nullable=False, server_default=text("0")),
    Column("accounts", Text, nullable=False),  # JSON: [[key, period], …], sorted
    Column("lease_until", BigInteger, nullable=False),
    Column("worker", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("settled_at", BigInteger),
    Index("entries_by_request", "request_id"),
    Index(
        "entries_pending",
        "lease_until",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
    sqlite_with_rowid=False,
)

accounts = Table(
    "accounts",
    metadata,
    Column("key", Text, primary_key=True),
    Column("period", Text, primary_key=True),  # 2026-11-20 or 2026-11
    _amount("spent_micro_usd"),
    _amount("held_micro_usd"),
    _amount("spent_tokens"),
    _amount("held_tokens"),
    sqlite_with_rowid=False,
)

daily_totals = Table(
    "daily_totals",
    metadata,
    Column("day", Text, primary_key=True),  # 2026-11-20, when the request was admitted
    Column("tenant", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),  # the one that served, or was asked for
    Column("route", Text, primary_key=True),
    _amount("requests"),
    _amount("estimated"),
    _amount("unpriced"),
    *map(_amount, FIGURES),
    _amount("tokens"),
    _amount("cost_micro_usd"),
    Index("daily_totals_by_user", "tenant", "user_id", "day"),
    sqlite_with_rowid=False,
)
