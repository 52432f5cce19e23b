"""Person: a user who sends requests, and their rows in the ledger."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app.openai_service.errors import CallerGone
from tests.fakes.wire.bodies import SMALLEST

# Of all tests of a process, which have one ledger together.
_numbers = count(1)


class Person:
    """A new user, with a network address of their own."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        number = next(_numbers)
        self.address = f"10.9.{number >> 8}.{number & 255}"
        self._client = app.test_client()
        self._database = app.extensions["gatehouse"].database

    def ask(self, route: str = "/api/chat", *, headers: Any = None, **fields: Any) -> TestResponse:
        return self.post(route, {**SMALLEST[route], **fields}, headers)

    def post(self, route: str, body: Any, headers: Any = None) -> TestResponse:
        where = {"REMOTE_ADDR": self.address}
        return self._client.post(route, json=body, headers=headers, environ_overrides=where, buffered=False)

    @staticmethod
    def leave(monkeypatch: pytest.MonkeyPatch) -> None:
        def watch(_: object) -> None:
            raise CallerGone

        monkeypatch.setattr("app.web.client_connection.ClientConnection.check", watch)

    def rows(self) -> list[dict[str, Any]]:
        return self._read("SELECT * FROM entries WHERE user_id = ? ORDER BY id", f"address:{self.address}")

    def row(self) -> dict[str, Any]:
        """The one row that there is, which is settled."""
        [row] = self.rows()
        assert (row["state"], row["settled_at"] is None) == ("settled", False)
        return row

    def account(self) -> dict[str, Any]:
        [account] = self._read("SELECT * FROM accounts WHERE key = ?", f"user:default/address:{self.address}")
        return account

    def _read(self, statement: str, value: str) -> list[dict[str, Any]]:
        with self._database.read_transaction() as connection:
            return connection.fetch_rows(statement, (value,))
