"""Copies of a database that servers use, and what is put back."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from app.runtime import sqlite
from app.storage.database import sqlite_copies
from app.storage.database.backup import back_up, restore
from app.storage.database.copy_files import CopyRefused
from app.storage.database.database import open_database
from app.storage.database.migrate import find_newest_revision

of_files = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


def _add(database, *keys):
    with database.transaction() as connection:
        for key in keys:
            connection.execute("INSERT INTO accounts (key, period) VALUES (?, 'day')", (key,))


def _keys(database):
    with database.read_transaction() as connection:
        return {key for (key,) in connection.execute("SELECT key FROM accounts")}


def _stop(database):
    """As when the server has ended, here and at the other end."""
    database.close()


def test_what_was_there_at_the_backup_is_there_after_a_restore(store, database, tmp_path):
    _add(database, "before")
    copy = tmp_path / "copy"

    assert back_up(database, copy) == find_newest_revision()
    _add(database, "after")
    _stop(database)
    aside = restore(open_database(store.url, tmp_path), copy)

    restored = open_database(store.url, tmp_path)
    restored.migrate()
    assert _keys(restored) == {"before"}
    restored.close()
    assert copy.stat().st_mode & 0o777 == 0o600
    if aside is not None:
        kept = open_database(f"sqlite:///{aside}", Path("/"))
        assert _keys(kept) == {"before", "after"}
        kept.close()


def test_a_file_that_exists_is_not_overwritten(database, tmp_path):
    copy = tmp_path / "copy"
    copy.write_text("mine")

    with pytest.raises(CopyRefused, match="not overwritten"):
        back_up(database, copy)

    assert copy.read_text() == "mine"
    assert not list(tmp_path.glob("*.partial"))


def test_nothing_is_put_back_under_a_running_server(store, database, tmp_path):
    copy = tmp_path / "copy"
    back_up(database, copy)
    _add(database, "after")

    with pytest.raises(CopyRefused, match="stop it first"):
        restore(open_database(store.url, tmp_path), copy)

    assert _keys(database) == {"after"}
    _add(database, "and goes on")


def test_tables_of_a_newer_version_are_not_put_back(store, database, tmp_path):
    copy = tmp_path / "copy"
    with database.transaction() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    back_up(database, copy)
    _stop(database)

    with pytest.raises(CopyRefused, match="install the version"):
        restore(open_database(store.url, tmp_path), copy)


def test_what_is_no_copy_is_not_put_back(store, database, tmp_path):
    _add(database, "kept")
    _stop(database)
    other = tmp_path / "other"
    other.write_bytes(b"no database" * 1000)

    for source in (other, tmp_path / "missing"):
        with pytest.raises(CopyRefused):
            restore(open_database(store.url, tmp_path), source)

    again = open_database(store.url, tmp_path)
    assert _keys(again) == {"kept"}
    again.close()


@of_files
def test_a_copy_is_of_one_moment_while_others_write(store, database, tmp_path, monkeypatch):
    """Each transaction adds two rows: a copy with an odd number would be of no moment."""
    _add(database, *(f"{number}-{'x' * 2000}" for number in range(2000)))
    written = 0
    real_sleep = sqlite_copies.time.sleep

    def write_between_steps(seconds):
        nonlocal written
        _add(database, f"a{written}", f"b{written}")
        written += 1
        real_sleep(0)

    monkeypatch.setattr(sqlite_copies.time, "sleep", write_between_steps)
    copy = tmp_path / "copy"
    back_up(database, copy)

    assert written > 2, "writers were not held up"
    copied = open_database(f"sqlite:///{copy}", tmp_path)
    assert len(_keys(copied)) == 2000, "as of the beginning"
    copied.close()


@of_files
def test_a_file_that_is_damaged_is_no_backup(store, database, tmp_path):
    _add(database, *(f"{number}-{'x' * 500}" for number in range(500)))
    _stop(database)
    with store.path.open("r+b") as file:
        file.seek(store.path.stat().st_size // 2)
        file.write(b"\xff" * 4096 * 4)

    with pytest.raises(CopyRefused, match=r"damaged|cannot be copied"):
        back_up(open_database(store.url, tmp_path), tmp_path / "copy")

    assert not (tmp_path / "copy").exists()


@of_files
def test_a_damaged_ledger_is_replaced_only_when_that_is_said(store, database, tmp_path):
    _add(database, "kept")
    copy = tmp_path / "copy"
    back_up(database, copy)
    _stop(database)
    store.path.write_bytes(b"garbage" * 1000)

    with pytest.raises(CopyRefused, match="--damaged"):
        restore(open_database(store.url, tmp_path), copy)
    aside = restore(open_database(store.url, tmp_path), copy, is_damaged=True)

    assert aside.read_bytes().startswith(b"garbage")
    restored = open_database(store.url, tmp_path)
    assert _keys(restored) == {"kept"}
    restored.close()


@of_files
def test_the_copy_is_made_by_the_servers_sqlite_and_is_one_file(store, database, tmp_path):
    _add(database, "kept")
    copy = tmp_path / "copy"
    back_up(database, copy)

    assert sqlite_copies.sqlite.dbapi is sqlite.dbapi
    raw = sqlite.connect(copy)
    assert raw.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    raw.close()
    assert [path.name for path in tmp_path.glob("copy*")] == ["copy"]


@of_files
def test_without_write_ahead_a_copy_that_begins_again_and_again_ends(store, database, tmp_path, monkeypatch):
    monkeypatch.setattr("app.runtime.sqlite.has_safe_wal", lambda version: False)
    monkeypatch.setattr(sqlite_copies, "_MAX_RESTARTS", 5)  # 50 take five seconds
    old = open_database(store.url, tmp_path)
    _stop(database)
    _add(old, *(f"{number}-{'x' * 2000}" for number in range(2000)))
    monkeypatch.setattr(
        sqlite_copies.time, "sleep", lambda seconds: _add(old, f"a{threading.get_ident()}-{os.urandom(8).hex()}")
    )

    with pytest.raises(CopyRefused, match="pysqlite3"):
        back_up(old, tmp_path / "copy")

    assert not (tmp_path / "copy").exists()
    old.close()


def test_a_copy_that_begins_again_after_its_first_step_is_counted_and_one_that_waits_is_not(monkeypatch) -> None:
    monkeypatch.setattr(sqlite_copies, "_PAUSE_S", 0)
    steps = sqlite_copies._Steps()

    for _ in range(100):
        steps(sqlite_copies.sqlite.dbapi.SQLITE_BUSY, 700, 956)
    for _ in range(sqlite_copies._MAX_RESTARTS + 1):
        steps(0, 700, 956)
    with pytest.raises(CopyRefused, match="pysqlite3"):
        steps(0, 700, 956)


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_missing_program_is_told_with_its_command(store, database, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(CopyRefused, match="pg_dump --format=custom"):
        back_up(database, tmp_path / "copy")
