"""Create the table of safety reports of the upstream about users."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and its index."""
    op.create_table(
        "safety_events",
        sa.Column("webhook_id", sa.Text, primary_key=True),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text),
        sa.Column("user_id", sa.Text),
        sa.Column("category", sa.Text),
        sa.Column("case_id", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("safety_events_by_time", "safety_events", ["received_at"])
