"""The table of batches, whose rows are never deleted. Times are UTC milliseconds.

Requests and answers are stored in files at the upstream, not here.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text

from app.storage.database.metadata import metadata

batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True),  # begins with the time, so that ids sort by creation time
    Column("entry_id", Text, nullable=False),  # of the ledger
    Column("tenant", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("kind", Text, nullable=False),  # chat, embeddings, vision, structured
    Column("model", Text, nullable=False),
    Column("status", Text, nullable=False),  # submitting, then the upstream's status
    # JSON: [[id, max input tokens, max output tokens], …]; for structured requests {"requests": [[…, format], …],
    # "formats": ["…"]}, where `format` is an index into `formats`.
    Column("requests", Text, nullable=False),
    Column("total", Integer, nullable=False),
    Column("completed", Integer, nullable=False, server_default=text("0")),
    Column("failed", Integer, nullable=False, server_default=text("0")),
    Column("upstream_id", Text),
    Column("output_file_id", Text),
    Column("error_file_id", Text),
    Column("cost_micro_usd", BigInteger),  # null before the end, or if the price is unknown
    Column("created_at", BigInteger, nullable=False),
    Column("cancel_requested_at", BigInteger),
    Column("checked_at", BigInteger, nullable=False),  # the time of the last update from the upstream
    Column("ended_at", BigInteger),
    Column("busy_until", BigInteger, nullable=False),  # a process holds the lock until then
    Index("batches_by_owner", "tenant", "user_id", "id"),
    Index(
        "batches_open",
        "checked_at",
        # PostgreSQL's migration has the same condition. Naming it here would load 2 MiB of its dialect.
        sqlite_where=text("ended_at IS NULL"),
    ),
    sqlite_with_rowid=False,
)
