from __future__ import annotations

from tests.billing.ledger.conftest import clock, entry, ledger, rows
from tests.fakes.storage.databases import database, migrated_database, postgres_server, store

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
