"""SQLite as both stores of this machine use it."""

from __future__ import annotations

import itertools
import sqlite3.dbapi2
import stat
import sys
from contextlib import closing

import pytest

from app.runtime import sqlite


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
        ((3, 53, 4), True),
    ],
)
def test_wal_is_for_builds_without_the_bug_that_damages_files(version, is_safe):
    assert sqlite.has_safe_wal(version) is is_safe


def test_the_best_library_there_is_is_taken_and_else_the_systems(monkeypatch):
    best = pytest.importorskip("pysqlite3.dbapi2", reason="it has no wheel for this machine")
    assert sqlite.import_sqlite() is best
    monkeypatch.setitem(sys.modules, "pysqlite3.dbapi2", None)
    assert sqlite.import_sqlite() is sqlite3.dbapi2


def test_file_is_made_for_this_user_alone_and_one_that_exists_is_left_alone(tmp_path):
    path = tmp_path / "own" / "file.sqlite3"
    for content in (b"", b"content"):
        sqlite.create_private(path)
        assert path.read_bytes() == content
        path.write_bytes(b"content")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_file_that_has_gone_is_not_made_anew(tmp_path):
    with pytest.raises(sqlite.dbapi.OperationalError):
        sqlite.connect(tmp_path / "file.sqlite3").execute("SELECT 1")
    assert not list(tmp_path.iterdir())


def test_busy_file_is_told_from_a_broken_one(tmp_path):
    path = tmp_path / "file.sqlite3"
    sqlite.create_private(path)
    first, second = sqlite.connect(path), sqlite.connect(path)
    first.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite.dbapi.OperationalError) as busy:
        second.execute("BEGIN IMMEDIATE")
    first.close()
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(sqlite.dbapi.DatabaseError) as broken:
        second.execute("SELECT * FROM sqlite_master")
    second.close()

    assert sqlite.is_busy(busy.value)
    assert not sqlite.is_busy(broken.value)
    assert (sqlite.get_error_name(busy.value), sqlite.get_error_name(broken.value)) == (
        "SQLITE_BUSY",
        "SQLITE_NOTADB",
    )
    assert sqlite.get_error_name(OSError()) == "unreadable"


def test_pauses_grow_up_to_their_bound():
    longest = [0.0] * 12
    for _ in range(200):
        pauses = itertools.islice(sqlite.busy_pauses(0.01), 12)
        longest = [max(pair) for pair in zip(longest, pauses, strict=True)]
    assert longest[0] <= 0.0005 < longest[3] <= 0.004 < longest[11] <= 0.01


def test_moved_file_is_noticed_within_a_second_and_until_it_is_opened_anew(tmp_path, monkeypatch):
    times = [1000.0]
    monkeypatch.setattr("app.runtime.clock.ticks", lambda: times[0])
    path = tmp_path / "file.sqlite3"
    path.touch()
    watch = sqlite.FileWatch(path)
    watch.mark_opened()
    assert not watch.has_moved()

    path.rename(tmp_path / "aside")
    assert not watch.has_moved()
    assert not watch.is_same()
    times[0] += 1
    assert watch.has_moved()
    path.touch()
    assert watch.has_moved()
    watch.mark_opened()
    assert not watch.has_moved()


@pytest.mark.parametrize("value", [None, b"", b"\0text", "text", 1, 1.5], ids=repr)
def test_values_are_bound_as_they_are(value):
    with closing(sqlite.dbapi.connect(":memory:")) as connection:
        (found,) = connection.execute("SELECT ?", (value,)).fetchone()
    assert (found, type(found)) == (value, type(value))
