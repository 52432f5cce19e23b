"""Access the database of credentials, which the first request with a stored credential opens."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from app.storage.database.connections.connection import Connection
from app.storage.database.database import Database


class CredentialStore(Protocol):
    """Transactions on the credentials. All methods raise DatabaseUnavailable if the database does not answer."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """Begin a transaction that may write."""

    def read_transaction(self) -> AbstractContextManager[Connection]:
        """Begin a transaction that only reads."""

    def read_once(self) -> AbstractContextManager[Connection]:
        """Begin a transaction for one statement that only reads."""


class LazyStore:
    """A Database that is migrated at its first use, so that requests without credentials do not wait for it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._is_ready = False

    def transaction(self) -> AbstractContextManager[Connection]:
        """Begin a transaction that may write."""
        return self._get_database().transaction()

    def read_transaction(self) -> AbstractContextManager[Connection]:
        """Begin a transaction that only reads."""
        return self._get_database().read_transaction()

    def read_once(self) -> AbstractContextManager[Connection]:
        """Begin a transaction for one statement that only reads."""
        return self._get_database().read_once()

    def _get_database(self) -> Database:
        if not self._is_ready:
            self._database.migrate()
            self._is_ready = True
        return self._database
