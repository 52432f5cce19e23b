"""The table of what the upstream has reported of users. Times are UTC milliseconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text

from app.storage.database.metadata import metadata

safety_events = Table(
    "safety_events",
    metadata,
    Column("webhook_id", Text, primary_key=True),
    Column("received_at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),  # such as safety_identifier.blocked
    Column("tenant", Text),  # null: the identifier is of nobody in the ledger, or there was none
    Column("user_id", Text),
    Column("category", Text),
    Column("case_id", Text),
    Column("action", Text, nullable=False),  # tokens_revoked, or noted
    Index("safety_events_by_time", "received_at"),
    sqlite_with_rowid=False,
)
