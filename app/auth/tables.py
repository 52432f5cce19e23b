"""The tables of credentials. Times are whole seconds since 1970, as in a JWT's claims."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Table, Text

from app.storage.database.metadata import metadata

_BY_KEY: dict[str, Any] = {"sqlite_with_rowid": False}

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("secret_sha256", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # separated by spaces
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    **_BY_KEY,
)

# A token with a row is revoked. The row is deleted after the token would have expired.
revoked_tokens = Table(
    "revoked_tokens",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("token_id", Text, primary_key=True),
    Column("expires_at", BigInteger, nullable=False),
    Index("revoked_tokens_by_end", "expires_at"),
    **_BY_KEY,
)

# Revokes all tokens of a user that were issued until `issued_until`.
revoked_users = Table(
    "revoked_users",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("issued_until", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("revoked_users_by_end", "expires_at"),
    **_BY_KEY,
)

# The id is that of the link that opened the session. If the row exists, the link has been used.
admin_sessions = Table(
    "admin_sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    **_BY_KEY,
)
