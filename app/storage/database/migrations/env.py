"""Run the migrations for Alembic, on the connection and in the transaction of migrate.py."""

from __future__ import annotations

from alembic import context

# No target_metadata. The tables' definitions are not loaded here, so a generated revision would drop all tables.
# Without target_metadata, Alembic refuses to generate one.
context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
