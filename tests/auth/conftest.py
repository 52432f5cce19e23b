from __future__ import annotations

import shutil

import pytest

from app.auth.keys import ApiKeys
from app.auth.store import LazyStore
from app.storage.database.database import open_database
from tests.fakes.identity_provider import MovableClock


@pytest.fixture
def clock(monkeypatch):
    clock = MovableClock()
    monkeypatch.setattr("app.runtime.clock.now", clock.now)
    monkeypatch.setattr("app.runtime.clock.ticks", clock.now)
    return clock


@pytest.fixture
def database(migrated_file, tmp_path):
    shutil.copy(migrated_file, tmp_path / "credentials.sqlite3")
    database = open_database(f"sqlite:///{tmp_path}/credentials.sqlite3", tmp_path)
    yield database
    database.close()


@pytest.fixture
def store(database):
    return LazyStore(database)


@pytest.fixture
def keys(store, clock):
    return ApiKeys(store)
