"""Create the ledger's tables: entries, accounts of budgets, daily totals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

# The file's name begins with the revision: see app/storage/database/migrate.py.
revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _amount(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))


def upgrade() -> None:
    """Create the tables and their indexes."""
    op.create_table(
        "entries",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("token_id", sa.Text),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("served_model", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("source", sa.Text),
        sa.Column("prompt_tokens", sa.BigInteger),
        sa.Column("cached_tokens", sa.BigInteger),
        sa.Column("completion_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.Column("tokens", sa.BigInteger),
        sa.Column("cost_micro_usd", sa.BigInteger),
        sa.Column("price_version", sa.Text),
        sa.Column("attempts", sa.Integer),
        sa.Column("first_token_ms", sa.Integer),
        sa.Column("total_ms", sa.Integer),
        _amount("held_micro_usd"),
        _amount("held_tokens"),
        sa.Column("over_hold", sa.SmallInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("accounts", sa.Text, nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("settled_at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("entries_by_request", "entries", ["request_id"])
    is_pending = sa.text("state = 'pending'")
    op.create_index(
        "entries_pending", "entries", ["lease_until"], sqlite_where=is_pending, postgresql_where=is_pending
    )
    op.create_table(
        "accounts",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("period", sa.Text, primary_key=True),
        _amount("spent_micro_usd"),
        _amount("held_micro_usd"),
        _amount("spent_tokens"),
        _amount("held_tokens"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "daily_totals",
        sa.Column("day", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("route", sa.Text, primary_key=True),
        _amount("requests"),
        _amount("estimated"),
        _amount("unpriced"),
        _amount("prompt_tokens"),
        _amount("cached_tokens"),
        _amount("completion_tokens"),
        _amount("reasoning_tokens"),
        _amount("tokens"),
        _amount("cost_micro_usd"),
        sqlite_with_rowid=False,
    )
    op.create_index("daily_totals_by_user", "daily_totals", ["tenant", "user_id", "day"])
