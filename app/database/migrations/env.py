"""Run the migrations for Alembic, on the connection and in the transaction of migrate.py."""

from __future__ import annotations

from alembic import context

from app.database.metadata import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
