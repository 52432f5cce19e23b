from __future__ import annotations

import pytest

from app.runtime import sqlite
from app.storage.shared_state import open_state


@pytest.mark.parametrize(("is_safe", "mode"), [(True, "wal"), (False, "delete")])
def test_file_is_opened_in_the_mode_that_its_sqlite_can_be_trusted_with(tmp_path, monkeypatch, is_safe, mode):
    monkeypatch.setattr("app.runtime.sqlite.has_safe_wal", lambda version: is_safe)
    state = open_state(directory=tmp_path, redis_url="")
    state.update("key", lambda old: b"value", ttl_s=60)
    other = sqlite.connect(tmp_path / "state.sqlite3")
    # What is not WAL is a choice of each connection; another one has its own default.
    assert other.execute("PRAGMA journal_mode").fetchone() == (mode,)
    assert state.read("key") == b"value"
    other.close()
    state.close()


def test_file_that_another_process_writes_to_can_be_read_meanwhile(tmp_path):
    state = open_state(directory=tmp_path, redis_url="")
    state.update("key", lambda old: b"value", ttl_s=60)
    other = sqlite.connect(tmp_path / "state.sqlite3")
    other.execute("BEGIN EXCLUSIVE")
    assert state.read("key") == b"value"
    assert state.update("key", lambda old: b"own", ttl_s=60) == b"own"
    other.close()
    state.close()
