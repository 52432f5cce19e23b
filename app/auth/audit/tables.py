"""The table of the audit trail. Times are UTC in milliseconds."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from app.storage.database.metadata import metadata

audit_trail = Table(
    "audit_trail",
    metadata,
    Column("id", Text, primary_key=True),  # begins with the time, so that rows are appended
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("address", Text),
    Column("action", Text, nullable=False),
    Column("tenant", Text),
    Column("target", Text, nullable=False),
    Column("details", Text, nullable=False),  # JSON
    sqlite_with_rowid=False,
)
