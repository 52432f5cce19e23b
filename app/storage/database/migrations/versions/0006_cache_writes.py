"""Add the tokens that the upstream wrote to its prompt cache, which have a price of their own, to the ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("entries", sa.Column("cache_write_tokens", sa.BigInteger))
    op.add_column(
        "daily_totals",
        sa.Column("cache_write_tokens", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    )
