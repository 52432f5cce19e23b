from __future__ import annotations

from tests.fakes.storage.databases import database, migrated_database, postgres_server, store

__all__ = ["database", "migrated_database", "postgres_server", "store"]
