"""The tables of the limits of single accounts, which override those of the settings."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text

from app.storage.database.metadata import metadata

# Each limit is a text as in the settings, 'none' for no limit, '0' for nothing at all, or null for the limit of the settings.
# A row without any limit is not deleted, so that other processes notice the change.
account_limits = Table(
    "account_limits",
    metadata,
    Column("account", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("request_rate", Text),
    Column("token_rate", Text),
    Column("concurrent_streams", Text),
    Column("budget_usd", Text),
    Column("budget_tokens", Text),
    Column("version", BigInteger, nullable=False),  # of the last change
    Index("account_limits_by_version", "version"),
    sqlite_with_rowid=False,
)

# One row, whose version each change increments. A change locks the row until its transaction ends, so versions are in order.
limit_versions = Table(
    "limit_versions",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
