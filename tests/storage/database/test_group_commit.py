"""Statements that share a transaction of SQLite: each has the outcome that it would have had alone."""

from __future__ import annotations

import gevent
import pytest
from gevent import socket

from app.runtime import store_guard
from app.storage.database import database as database_module
from app.storage.database.connections.group_commit import GroupCommit
from app.storage.database.database import Contended, DatabaseUnavailable, open_database
from tests.fakes.ready_greenlets import start_together

OPEN = "INSERT INTO accounts (key, period, held_tokens) VALUES (?, 'day', ?)"
TAKE = "UPDATE accounts SET held_tokens = held_tokens + 1 WHERE key = ? AND held_tokens < 2"

pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@pytest.fixture
def group(database):
    return GroupCommit(database)


@pytest.fixture
def commits(database, monkeypatch):
    """What was committed, as a list that grows."""
    seen: list[str] = []
    commit, execute = database.driver.commit, database.driver.execute

    def note_commit(raw, deadline):
        commit(raw, deadline)
        seen.append("group")

    def note_execute(raw, *arguments):
        count = execute(raw, *arguments)
        if not raw.in_transaction:
            seen.append("alone")
        return count

    monkeypatch.setattr(database.driver, "commit", note_commit)
    monkeypatch.setattr(database.driver, "execute", note_execute)
    return seen


def read(database):
    with database.read_once() as connection:
        return connection.execute("SELECT key, held_tokens FROM accounts ORDER BY key").fetchall()


def test_those_that_are_ready_at_once_share_a_commit(group, database, commits):
    counts = start_together(group.execute, *((OPEN, (name, 0)) for name in "abcdefgh"))

    assert counts == [1] * 8
    assert commits == ["group"]
    assert len(read(database)) == 8


def test_one_that_finds_no_other_ready_runs_at_once(group, commits):
    ours, theirs = socket.socketpair()
    other = gevent.spawn(ours.recv, 1)
    gevent.sleep(0)
    theirs.send(b"x")  # the loop does not know yet

    assert group.execute(OPEN, ("a", 0)) == 1

    assert not other.ready()  # nobody was let in meanwhile
    other.join()
    ours.close()
    theirs.close()
    assert start_together(group.execute, (OPEN, ("b", 0))) == [1]
    assert commits == ["alone", "alone"]


def test_one_that_finds_others_ready_who_write_nothing_needs_no_transaction(group, commits):
    def execute(*statement):
        return group.execute(*statement) if statement else None

    assert sorted(start_together(execute, (OPEN, ("a", 0)), (), ()), key=str) == [1, None, None]
    assert commits == ["alone"]


def test_each_sees_what_those_before_it_did_and_one_that_does_not_fit_moves_nobody(group, database, commits):
    group.execute(OPEN, ("a", 0))
    group.execute(OPEN, ("b", 0))

    counts = start_together(group.execute, *((TAKE, (name,)) for name in "aaaab"))

    assert (sorted(counts[:4]), counts[4]) == ([0, 0, 1, 1], 1)
    assert commits == ["alone", "alone", "group"]
    assert read(database) == [("a", 2), ("b", 1)]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ((OPEN, ("u", 5)), "UNIQUE"),
        (("SELEKT", ()), "syntax"),
        ((OPEN, ("x",)), "binding"),
        ((OPEN, ("x", 2**70)), "too large"),
        ((OPEN, ("x", object())), "unsupported type"),
    ],
)
def test_one_that_raises_fails_alone(group, database, commits, wrong, error):
    group.execute(OPEN, ("u", 0))

    outcomes = start_together(group.execute, (OPEN, ("a", 0)), wrong, (OPEN, ("b", 0)))

    assert (outcomes[0], outcomes[2]) == (1, 1)
    assert error in str(outcomes[1])
    assert not isinstance(outcomes[1], DatabaseUnavailable)
    assert commits == ["alone", "group"]
    assert read(database) == [("a", 0), ("b", 0), ("u", 0)]
    database.check()


def make_error(database, name, code):
    error = database.driver._dbapi.OperationalError(name)
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    return error


def test_an_outage_amid_them_refuses_all_and_changes_nothing(group, database, monkeypatch):
    group.execute(OPEN, ("a", 0))
    execute = database.driver.execute

    def fail_second(raw, sql, values, deadline):
        if values == ("c", 0):
            raise make_error(database, "SQLITE_FULL", 13)
        return execute(raw, sql, values, deadline)

    monkeypatch.setattr(database.driver, "execute", fail_second)
    outcomes = start_together(group.execute, *((OPEN, (name, 0)) for name in "bcd"))

    assert [(type(each), str(each), each.is_unsure) for each in outcomes] == [
        (DatabaseUnavailable, "SQLITE_FULL", False)
    ] * 3
    assert len({id(each) for each in outcomes}) == 3
    assert "full" in outcomes[0].advice
    with pytest.raises(DatabaseUnavailable, match="away"):  # as after any outage
        group.execute(OPEN, ("e", 0))
    monkeypatch.setattr(store_guard, "RETRY_AFTER_S", 0.0)
    monkeypatch.setattr("app.runtime.clock.ticks", lambda: 10**9)
    database.check()
    assert read(database) == [("a", 0)]


def test_a_commit_of_which_nothing_is_known_is_unsure_to_all(group, database, monkeypatch):
    commit = database.driver.commit

    def commit_silently(raw, deadline):
        commit(raw, deadline)
        raise make_error(database, "SQLITE_IOERR", 10)

    monkeypatch.setattr(database.driver, "commit", commit_silently)
    outcomes = start_together(group.execute, (OPEN, ("a", 0)), (OPEN, ("b", 0)))

    assert [(str(each), each.is_unsure) for each in outcomes] == [("SQLITE_IOERR", True)] * 2


def test_a_transaction_that_sqlite_has_rolled_back_fails_for_all(group, database, monkeypatch):
    execute = database.driver.execute

    def run_out_of_memory(raw, sql, values, deadline):
        if values == ("b", 0):
            raw.rollback()
            raise MemoryError
        return execute(raw, sql, values, deadline)

    monkeypatch.setattr(database.driver, "execute", run_out_of_memory)
    outcomes = start_together(group.execute, *((OPEN, (name, 0)) for name in "abc"))

    assert [type(each) for each in outcomes] == [MemoryError] * 3
    assert read(database) == []


def test_none_waits_longer_than_its_time_limit(store, group, database, monkeypatch):
    monkeypatch.setattr(database_module, "TIMEOUT_S", 0.2)
    given: list[float] = []
    begin, ticks = database.driver.begin, database_module.clock.ticks

    def note(raw, deadline, *, writes):
        given.append(deadline - ticks())
        begin(raw, deadline, writes=writes)

    monkeypatch.setattr(database.driver, "begin", note)
    with store.frozen():
        outcomes = start_together(group.execute, (OPEN, ("a", 0)), (OPEN, ("b", 0)))

    assert [(type(each), str(each), each.is_unsure) for each in outcomes] == [
        (DatabaseUnavailable, "SQLITE_BUSY", False)
    ] * 2
    assert max(given) < 0.2  # counted from when the first asked


def test_the_time_limit_begins_when_a_statement_is_asked_for(group, database, monkeypatch):
    now = database_module.clock.ticks()
    monkeypatch.setattr(database_module.clock, "ticks", lambda: now)
    given: list[float] = []
    begin = database.driver.begin

    def note(raw, deadline, *, writes):
        given.append(deadline)
        begin(raw, deadline, writes=writes)

    monkeypatch.setattr(database.driver, "begin", note)
    original = GroupCommit._run_group

    def run_late(self):
        monkeypatch.setattr(database_module.clock, "ticks", lambda: now + 1)  # a long turn of the loop
        original(self)

    monkeypatch.setattr(GroupCommit, "_run_group", run_late)
    assert start_together(group.execute, (OPEN, ("a", 0)), (OPEN, ("b", 0))) == [1, 1]

    assert given == [pytest.approx(now + database_module.TIMEOUT_S)]


def test_writers_of_other_processes_make_it_contended_and_no_outage(group, database, tmp_path, store, monkeypatch):
    monkeypatch.setattr(database_module, "TIMEOUT_S", 0.05)
    database.check()
    other = open_database(store.url, tmp_path)
    pause = database_module.clock.ticks  # each look at the time lets the other one commit, and take its lock again
    raw = other.driver._connect()

    def commit_and_lock():
        if raw.in_transaction:
            raw.execute("UPDATE accounts SET held_tokens = 9")
            raw.execute("UPDATE alembic_version SET version_num = version_num")
            raw.execute("COMMIT")
        raw.execute("BEGIN IMMEDIATE")
        return pause()

    commit_and_lock()
    monkeypatch.setattr("app.storage.database.sqlite_driver.clock.ticks", commit_and_lock)
    outcomes = start_together(group.execute, (OPEN, ("a", 0)), (OPEN, ("b", 0)))
    monkeypatch.undo()
    raw.execute("ROLLBACK")
    raw.close()
    other.close()

    assert [(type(each), each.is_unsure) for each in outcomes] == [(Contended, False)] * 2
    assert group.execute(OPEN, ("a", 0)) == 1  # nobody is refused for it


def test_a_greenlet_that_is_killed_while_it_waits_is_not_run_for(group, database, commits, monkeypatch):
    begin = database.driver.begin
    killed = []

    def kill_second(raw, deadline, *, writes):
        begin(raw, deadline, writes=writes)
        if not killed:
            killed.append(True)
            greenlets[1].kill()

    greenlets: list[gevent.Greenlet] = []
    monkeypatch.setattr(database.driver, "begin", kill_second)
    outcomes = start_together(group.execute, *((OPEN, (name, 0)) for name in "abc"), then=greenlets.extend)

    assert (outcomes[0], outcomes[2]) == (1, 1)
    assert isinstance(outcomes[1], gevent.GreenletExit)
    assert read(database) == [("a", 0), ("c", 0)]


def test_one_that_is_killed_while_its_statement_waits_alone_is_not_run_for_later(group, database, monkeypatch):
    """A hold that came after the settlement that undoes it would stay."""
    prepare = database.driver.prepare
    greenlets: list[gevent.Greenlet] = []
    waits = []

    def wait_for_turn(raw, deadline):
        if not waits:
            waits.append(True)
            greenlets[0].kill(block=False)
            gevent.sleep(0.01)
        prepare(raw, deadline)

    def execute(*statement):
        return group.execute(*statement) if statement else None

    monkeypatch.setattr(database.driver, "prepare", wait_for_turn)
    outcomes = start_together(execute, (OPEN, ("a", 0)), (), then=greenlets.extend)
    gevent.sleep(0.02)

    assert isinstance(outcomes[0], gevent.GreenletExit)
    assert waits
    assert group.execute(OPEN, ("b", 0)) == 1
    assert read(database) == [("b", 0)]


def test_nobody_is_told_before_the_commit(group, database, monkeypatch):
    commit = database.driver.commit
    told = []

    def look(raw, deadline):
        gevent.sleep(0.01)  # whoever had been told would go on
        assert not told
        commit(raw, deadline)

    def execute(*statement):
        told.append(group.execute(*statement))

    monkeypatch.setattr(database.driver, "commit", look)
    start_together(execute, *((OPEN, (name, 0)) for name in "abc"))

    assert told == [1, 1, 1]


def test_the_loop_itself_never_waits(group, database, commits):
    """As where it closes a stream that nobody reads any more, while others are ready."""
    pairs = [socket.socketpair() for _ in "ab"]
    watchers = [gevent.get_hub().loop.io(pair[0].fileno(), 1) for pair in pairs]
    counts = []

    def execute(name, watcher):
        watcher.stop()
        counts.append(group.execute(OPEN, (name, 0)))

    for name, watcher, (_, end) in zip("ab", watchers, pairs, strict=True):
        watcher.start(execute, name, watcher)
        end.send(b"x")
    gevent.sleep(0.001)
    for end in (end for pair in pairs for end in pair):
        end.close()

    assert counts == [1, 1]
    assert commits == ["alone", "alone"]
