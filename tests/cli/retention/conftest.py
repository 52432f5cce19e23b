from __future__ import annotations

from tests.fakes.databases import database, migrated_database, postgres_server, store
from tests.ledger.conftest import clock, entry, ledger, rows

__all__ = [
    "clock",
    "database",
    "entry",
    "ledger",
    "migrated_database",
    "postgres_server",
    "rows",
    "store",
]
