"""The store frozen, gone or back: money fails closed, and what was settled meanwhile is settled once."""

# ruff: noqa: PLR0917  # fixtures

from __future__ import annotations

import os
import time
from contextlib import contextmanager

import pytest

from app.billing.ledger.ledger import Ledger
from app.billing.ledger.records import Limit, Settlement
from app.billing.ledger.reports import Reports
from app.runtime import store_guard
from app.storage.database import database as database_module
from app.storage.database.database import DatabaseUnavailable, open_database
from tests.fakes.stopwatch import Stopwatch
from tests.fakes.storage.databases import on_postgresql_thoroughly
from tests.fakes.tables import further

DAY = Limit("user:acme/ann", "day", micro_usd=10**6)
DONE = Settlement(outcome="complete", source="reported", cost_micro_usd=40, prompt_tokens=4)


@pytest.fixture
def asked_at_once(monkeypatch):
    """A store that failed is asked again without a pause."""
    monkeypatch.setattr(store_guard, "RETRY_AFTER_S", 0.0)


@pytest.fixture
def frozen(store):
    """Freezes the store, and has its callers give up early for as long as it is."""

    @contextmanager
    def freeze():
        with pytest.MonkeyPatch.context() as patch, store.frozen():
            patch.setattr(database_module, "TIMEOUT_S", 0.3)
            yield

    return freeze


def hold(ledger, entry):
    return ledger.hold(entry(), [DAY], micro_usd=100, tokens=10, lease_s=90)


@pytest.mark.parametrize("store", ["sqlite", *further("postgresql")], indirect=True)
def test_a_frozen_store_refuses_within_two_seconds_and_then_at_once(store, ledger, entry, rows, monkeypatch):
    hold(ledger, entry)
    with store.frozen():
        watch = Stopwatch()
        with pytest.raises(DatabaseUnavailable):
            hold(ledger, entry)
        assert watch.elapsed_s() < 2.0
        monkeypatch.setattr(store_guard, "RETRY_AFTER_S", 60.0)

        watch = Stopwatch()
        for _ in range(20):
            with pytest.raises(DatabaseUnavailable):
                hold(ledger, entry)
        assert watch.elapsed_s() < 0.3


def test_it_recovers_without_a_restart(frozen, database, ledger, entry, violations, asked_at_once):
    with frozen():
        with pytest.raises(DatabaseUnavailable):
            hold(ledger, entry)
        with pytest.raises(DatabaseUnavailable):
            database.check()

    database.check()
    ledger.settle(hold(ledger, entry), DONE)
    assert not violations()


@on_postgresql_thoroughly
def test_what_is_settled_while_it_is_frozen_is_settled_once_it_is_back(
    frozen, ledger, entry, rows, violations, asked_at_once
):
    held = hold(ledger, entry)
    with frozen():
        ledger.settle(held, DONE)
        ledger.settle(held, DONE)

    ledger.retry()
    ledger.retry()

    (row,) = rows("entries")
    assert (row["state"], row["outcome"], row["cost_micro_usd"]) == ("settled", "complete", 40)
    assert rows("accounts")[0]["spent_micro_usd"] == 40
    assert not violations()


@on_postgresql_thoroughly
def test_what_a_process_could_not_settle_is_settled_by_another(
    frozen, database, ledger, entry, rows, violations, clock, tmp_path, asked_at_once
):
    held = [hold(ledger, entry) for _ in range(2)]
    with frozen():
        for one in held:
            ledger.settle(one, DONE)
        ledger.close()

    (journal,) = (tmp_path / "journal").iterdir()
    assert journal.stat().st_mode & 0o777 == 0o600
    assert b"acme" not in journal.read_bytes()
    Ledger(database, tmp_path / "journal").retry()

    assert [row["outcome"] for row in rows("entries")] == ["complete"] * 2
    assert not list((tmp_path / "journal").iterdir())
    assert not violations()


@on_postgresql_thoroughly
def test_too_many_to_keep_go_to_the_journal(
    frozen, ledger, entry, rows, violations, tmp_path, monkeypatch, asked_at_once
):
    monkeypatch.setattr("app.billing.ledger.background._MAX_PENDING", 4)
    held = [hold(ledger, entry) for _ in range(9)]
    with frozen():
        monkeypatch.setattr(store_guard, "RETRY_AFTER_S", 60.0)
        for one in held:
            ledger.settle(one, DONE)
    assert len(list((tmp_path / "journal").iterdir())) == 3

    monkeypatch.setattr("app.runtime.clock.ticks", lambda: time.monotonic() + 100)
    ledger.retry()

    assert {row["state"] for row in rows("entries")} == {"settled"}
    assert not violations()


@on_postgresql_thoroughly
def test_a_background_of_its_own_settles_sweeps_and_ends(
    frozen, ledger, entry, rows, clock, violations, monkeypatch, asked_at_once
):
    monkeypatch.setattr("app.billing.ledger.background._ROUND_S", 0.01)
    hold(ledger, entry)
    clock.move(91)
    held = hold(ledger, entry)
    with frozen():
        ledger.settle(held, DONE)
    ledger.start()
    until = time.monotonic() + 10
    while {row["state"] for row in rows("entries")} != {"settled"}:
        assert time.monotonic() < until
        time.sleep(0.01)
    ledger.close()

    assert sorted(row["outcome"] for row in rows("entries")) == ["complete", "expired"]
    assert not violations()


@pytest.mark.parametrize("step", ["execute", "commit"])
def test_a_hold_that_may_have_been_made_is_returned(
    database, ledger, entry, rows, violations, monkeypatch, asked_at_once, step
):
    database.check()
    original = getattr(database.driver, step)
    # What else is to be written is written in a transaction, and that ends with a commit.
    options = {"also": lambda *_: None} if step == "commit" else {}

    def silent(*arguments):
        original(*arguments)
        raise database_error(database)

    # There is an account already.
    ledger.settle(hold(ledger, entry), Settlement(outcome="complete", source="reported", cost_micro_usd=0))
    monkeypatch.setattr(database.driver, step, silent)
    with pytest.raises(DatabaseUnavailable) as error:
        ledger.hold(entry(), [DAY], micro_usd=100, tokens=10, lease_s=90, **options)
    assert error.value.is_unsure
    monkeypatch.undo()
    assert sorted(row["state"] for row in rows("entries")) == ["pending", "settled"]

    ledger.retry()

    ends = sorted((row["outcome"], row["cost_micro_usd"]) for row in rows("entries"))
    assert ends == [("complete", 0), ("not_admitted", 0)]
    assert rows("accounts")[0]["held_micro_usd"] == 0
    assert not violations()


def database_error(database):
    if database.driver.name == "postgresql":
        import psycopg

        return psycopg.OperationalError("timeout")
    error = database.driver._dbapi.OperationalError("disk I/O error")
    error.sqlite_errorcode, error.sqlite_errorname = 10, "SQLITE_IOERR"
    return error


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_server_that_was_restarted_costs_nobody_an_error(store, ledger, entry, violations):
    hold(ledger, entry)
    store.server.stop()
    store.server.start()

    ledger.settle(hold(ledger, entry), DONE)

    assert not violations()


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_server_that_is_down_is_told_and_comes_back(store, ledger, entry, asked_at_once):
    hold(ledger, entry)
    store.server.stop()
    try:
        with pytest.raises(DatabaseUnavailable):
            hold(ledger, entry)
    finally:
        store.server.start()
    hold(ledger, entry)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_file_that_is_gone_is_not_made_anew(store, database, ledger, entry, rows, monkeypatch, asked_at_once):
    monkeypatch.setattr("app.runtime.sqlite.CHECK_INTERVAL_S", 0.0)
    monkeypatch.setattr(database.driver._watch, "_check_at", 0.0)
    hold(ledger, entry)
    aside = store.path.with_suffix(".aside")
    store.path.rename(aside)

    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            hold(ledger, entry)
    assert not store.path.exists()

    aside.rename(store.path)
    hold(ledger, entry)
    assert len(rows("entries")) == 2


def test_a_store_that_is_away_at_the_start_is_migrated_when_it_is_there(
    store, tmp_path, entry, clock, asked_at_once
):
    database = open_database(store.url, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.storage.database.migrate.migrate", _unavailable)
        with pytest.raises(DatabaseUnavailable):
            database.migrate()

    hold(Ledger(database, tmp_path / "journal"), entry)
    database.close()


def _unavailable(driver):
    raise DatabaseUnavailable("away")


def test_a_child_process_opens_connections_of_its_own(database, ledger, entry, rows, violations):
    hold(ledger, entry)
    pid = os.fork()
    if pid == 0:  # a child must not come back into pytest
        try:
            hold(ledger, entry)
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(pid, 0)

    assert status == 0
    hold(ledger, entry)
    assert len(rows("entries")) == 3
    assert not violations()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_reports_are_read_while_another_process_writes_for_long(store, database, ledger, entry, clock):
    hold(ledger, entry)
    reports = Reports(database)
    with store.frozen():
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                database.execute("UPDATE accounts SET period = period", (), 0.05)
            assert reports.totals()[0].requests == 0
            assert reports.count_holds() == 1  # each reading by itself, and writers are still refused at once
        begun = time.monotonic()
        with pytest.raises(DatabaseUnavailable, match="away"):
            hold(ledger, entry)
        assert time.monotonic() - begun < 1.0


def test_a_database_that_is_gone_is_gone_for_readers_too(database, ledger, entry, monkeypatch):
    hold(ledger, entry)
    monkeypatch.setattr(database.driver, "begin", _begin_nowhere)
    monkeypatch.setattr(database.driver, "execute", _begin_nowhere)
    with pytest.raises(DatabaseUnavailable, match="SQLITE_IOERR"):
        database.check()
    with pytest.raises(DatabaseUnavailable, match="away"):
        Reports(database).count_holds()


def _begin_nowhere(*_, **__):
    raise DatabaseUnavailable("SQLITE_IOERR")
