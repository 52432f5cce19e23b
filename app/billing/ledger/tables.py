"""The ledger's tables: one entry per request, the accounts of budgets, daily totals, rolled-up totals, and the outbox.

Amounts are integers of micro-dollars, times integers of UTC milliseconds.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, SmallInteger, Table, Text, text

from app.billing.ledger.records import SUMS
from app.models.token_counts.usage import FIGURES
from app.storage.database.metadata import metadata


def _amount(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


entries = Table(
    "entries",
    metadata,
    Column("id", Text, primary_key=True),  # begins with the time, so that rows are appended
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
    Column("tokens", BigInteger),  # charged to budgets: prompt plus completion, or the whole hold
    Column("cost_micro_usd", BigInteger),  # null: the price is unknown
    Column("price_version", Text),
    Column("attempts", Integer),
    Column("tool_calls", Integer),  # server tools that were run
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
        sqlite_where=text(
            "state = 'pending'"
        ),  # partial on PostgreSQL too; saying so here would load its dialect, of 2 MiB
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
    Column("model", Text, primary_key=True),  # the serving model, else the requested one
    Column("route", Text, primary_key=True),
    *map(_amount, SUMS),
    Index("daily_totals_by_user", "tenant", "user_id", "day"),
    sqlite_with_rowid=False,
)

# Sums of daily totals, written by rollups.py. A trigger of daily_totals deletes a sum when one of its parts changes.
rolled_totals = Table(
    "rolled_totals",
    metadata,
    Column("level", Text, primary_key=True),  # decides which columns are summed over; these are empty
    Column("last_day", Text, primary_key=True),  # the day, or the last day of the month
    Column("tenant", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    *map(_amount, SUMS),
    Index("rolled_totals_by_day", "last_day"),
    sqlite_with_rowid=False,
)

# A row for each settled entry and each system that it is sent to. It is written with the settlement, and deleted when
# the system has accepted the entry.
outbox = Table(
    "outbox",
    metadata,
    Column("target", Text, primary_key=True),  # webhook, stripe
    Column("entry_id", Text, primary_key=True),
    Column("due_at", BigInteger),  # when the next attempt is due; null: given up
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("first_sent_at", BigInteger),
    Column("last_error", Text),
    Index("outbox_by_due", "target", "due_at"),
    sqlite_with_rowid=False,
)
