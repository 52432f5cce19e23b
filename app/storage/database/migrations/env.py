"""Run the migrations for Alembic, on the connection and in the transaction of migrate.py."""

from __future__ import annotations

from alembic import context

# No target_metadata: the tables' definitions are not loaded here, and without them a revision that is generated would
# drop all tables. Alembic says instead that it has nothing to compare with.
context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
