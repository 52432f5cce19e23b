"""The fixtures of a ledger in a database of each kind."""

# ruff: noqa: F401

from tests.fakes.ledger_fixtures import (
    clock,
    database,
    entry,
    ledger,
    migrated_database,
    migrated_file,
    postgres_server,
    rows,
    store,
    violations,
)
