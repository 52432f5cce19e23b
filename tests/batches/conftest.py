from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.auth.principal import VISITOR_SCOPES
from app.storage.database.database import open_database
from tests.fakes.upstreams.fake_batches import FakeBatches
from tests.fakes.wire.closing_client import ClosingClient

NOON_MS = 1795176000_000  # 2026-11-20, 12:00 UTC


class Time:
    """What the ledger and the batches take for the time, moved by hand."""

    def __init__(self) -> None:
        self.now_ms = NOON_MS

    def move(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr("app.runtime.clock.now_ms", lambda: time.now_ms)
    return time


@pytest.fixture
def upstream() -> FakeBatches:
    return FakeBatches()


@pytest.fixture
def start(make_app: Callable[..., Flask], tmp_path: Path, time: Time, migrated_file: Path) -> Callable[..., Flask]:
    """Starts the application over a store of the test's own; again, as after a restart.

    Its clients send a key, as batches need one, unless they say otherwise.
    """
    made: list[str] = []
    shutil.copy(migrated_file, tmp_path / "own.sqlite3")

    class KeyClient(ClosingClient):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {made[0]}"

    def start(**settings: Any) -> Flask:
        app = make_app(**{"database_url": f"sqlite:///{tmp_path}/own.sqlite3", **settings})
        if not made:
            keys = app.extensions["gatehouse"].authenticator.keys
            made.append(keys.create(tenant="default", name="server", scopes=VISITOR_SCOPES).text)
        app.test_client_class = KeyClient
        return app

    return start


@pytest.fixture
def app(start: Callable[..., Flask]) -> Flask:
    return start()


@pytest.fixture
def client(app: Flask) -> ClosingClient:
    return app.test_client()


@pytest.fixture
def rows(tmp_path: Path, start: Callable[..., Flask]) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """What is in a table."""
    database = open_database(f"sqlite:///{tmp_path}/own.sqlite3", tmp_path)

    def read(table: str) -> list[dict[str, Any]]:
        with database.read_transaction() as connection:
            return connection.fetch_rows(f"SELECT * FROM {table}")

    yield read
    database.close()


def chats(*texts: str, **fields: Any) -> dict[str, Any]:
    """A body of chats; further fields go into each."""
    return {"requests": [{"chat": {"message": text, **fields}} for text in texts]}
