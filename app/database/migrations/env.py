"""Alembic's entry: runs the migrations on the connection, and in the transaction, that migrating.py hands in."""

from __future__ import annotations

from alembic import context

from app.database.metadata import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
