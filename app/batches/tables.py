"""The table of batches: a row each, for ever. Times are integers of UTC milliseconds.

What was asked and answered is not here: it is in files at the upstream.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text

from app.ledger.metadata import metadata

batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True),  # has the time in it, so that the order of ids is that of creation
    Column("entry_id", Text, nullable=False),  # of the ledger
    Column("tenant", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("kind", Text, nullable=False),  # chat, embeddings
    Column("model", Text, nullable=False),
    Column("status", Text, nullable=False),  # submitting, then as the upstream says
    Column(
        "requests", Text, nullable=False
    ),  # JSON: [[id, most input tokens, most output tokens], …], in their order
    Column("total", Integer, nullable=False),
    Column("completed", Integer, nullable=False, server_default=text("0")),
    Column("failed", Integer, nullable=False, server_default=text("0")),
    Column("upstream_id", Text),
    Column("output_file_id", Text),
    Column("error_file_id", Text),
    Column("cost_micro_usd", BigInteger),  # null: not known yet, or no price is known
    Column("created_at", BigInteger, nullable=False),
    Column("cancel_requested_at", BigInteger),
    Column("checked_at", BigInteger, nullable=False),  # when the upstream was last asked
    Column("ended_at", BigInteger),
    Column("busy_until", BigInteger, nullable=False),  # somebody is at work on it, and has until then
    Index("batches_by_owner", "tenant", "user_id", "id"),
    Index(
        "batches_open",
        "checked_at",
        sqlite_where=text(
            "ended_at IS NULL"
        ),  # on PostgreSQL too; to say so here would load its dialect, of 2 MiB
    ),
    sqlite_with_rowid=False,
)
