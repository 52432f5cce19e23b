from __future__ import annotations

import sqlite3

import pytest

from app.shared_state import open_state
from app.shared_state.sqlite_file import _has_safe_wal


@pytest.mark.parametrize(
    ("version", "is_safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 0), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), True),
    ],
)
def test_wal_is_for_builds_without_the_bug_that_damages_files(version, is_safe):
    assert _has_safe_wal(version) is is_safe


@pytest.mark.parametrize(("is_safe", "mode"), [(True, "wal"), (False, "delete")])
def test_file_is_opened_in_the_mode_that_its_sqlite_can_be_trusted_with(tmp_path, monkeypatch, is_safe, mode):
    monkeypatch.setattr("app.shared_state.sqlite_file._has_safe_wal", lambda version: is_safe)
    state = open_state(directory=tmp_path, redis_url="")
    state.update("key", lambda old: b"value", ttl_s=60)
    other = sqlite3.connect(tmp_path / "state.sqlite3")
    # What is not WAL is a choice of each connection; another one has its own default.
    assert other.execute("PRAGMA journal_mode").fetchone() == (mode,)
    assert state.read("key") == b"value"
    other.close()
    state.close()
