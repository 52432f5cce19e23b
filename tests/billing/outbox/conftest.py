from __future__ import annotations

from tests.fakes.databases import database, migrated_database, postgres_server, store
from tests.ledger.conftest import clock, entry, rows, violations

__all__ = [
    "clock",
    "database",
    "entry",
    "migrated_database",
    "postgres_server",
    "rows",
    "store",
    "violations",
]
