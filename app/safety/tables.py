"""The table of the upstream's reports about users. Times are UTC in milliseconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text

from app.storage.database.metadata import metadata

safety_events = Table(
    "safety_events",
    metadata,
    Column("webhook_id", Text, primary_key=True),
    Column("received_at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),  # such as safety_identifier.blocked
    Column("tenant", Text),  # null: the report has no identifier of a user in the ledger
    Column("user_id", Text),
    Column("category", Text),
    Column("case_id", Text),
    Column("action", Text, nullable=False),  # tokens_revoked, or noted
    Index("safety_events_by_time", "received_at"),
    sqlite_with_rowid=False,
)
