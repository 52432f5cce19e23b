"""A store that comes back is noticed without a restart, and what was settled meanwhile counts before any sweep."""

# ruff: noqa: PLR0917  # fixtures

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from app.billing.ledger.ledger import Ledger
from app.billing.ledger.records import Limit, Settlement
from app.runtime import store_guard
from app.storage.database import database as database_module
from app.storage.database.database import DatabaseUnavailable, open_database
from tests.fakes.servers import wait_until
from tests.fakes.storage.databases import on_postgresql_thoroughly

DAY = Limit("user:acme/ann", "day", micro_usd=10**6)
DONE = Settlement(outcome="complete", source="reported", cost_micro_usd=40, prompt_tokens=4)
_NOBODY = 65_534


@pytest.fixture
def asked_at_once(monkeypatch):
    """A store that failed is asked again without a pause."""
    monkeypatch.setattr(store_guard, "RETRY_AFTER_S", 0.0)


@pytest.fixture
def told(monkeypatch, caplog):
    """The advice of each outage that was logged."""
    monkeypatch.setattr(logging.getLogger("app"), "propagate", True)
    return lambda: [record.advice for record in caplog.records if record.message == "ledger.store_gone"]


@pytest.fixture
def folder(migrated_file):
    """A folder with a ledger, of a user who has to ask for permission: root may write everything."""
    folder = Path(tempfile.mkdtemp(prefix="gh-own-"))
    shutil.copy(migrated_file, folder / "ledger.sqlite3")
    is_root = os.geteuid() == 0
    if is_root:
        for path in (folder, folder / "ledger.sqlite3"):
            os.chown(path, _NOBODY, _NOBODY)
        os.seteuid(_NOBODY)
    try:
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        shutil.rmtree(folder)


def hold(ledger, entry):
    return ledger.hold(entry(), [DAY], micro_usd=100, tokens=10, lease_s=90)


@pytest.mark.parametrize("is_opened_before", [True, False])
@pytest.mark.parametrize("what", ["ledger.sqlite3", "."])
def test_a_file_that_could_only_be_read_is_opened_again(
    folder, entry, tmp_path_factory, told, asked_at_once, what, is_opened_before
):
    database = open_database(f"sqlite:///{folder}/ledger.sqlite3", folder)
    ledger = Ledger(database, folder / "journal")
    if is_opened_before:
        hold(ledger, entry)
        database.close()
    path = folder / what
    mode = path.stat().st_mode
    path.chmod(mode & ~0o222)
    for use in (database.check, lambda: hold(ledger, entry), database.check):
        with pytest.raises(DatabaseUnavailable) as caught:
            use()
        assert "cannot be written" in caught.value.advice
    assert len(told()) == 1
    assert "cannot be written" in told()[0]

    path.chmod(mode)
    database.check()
    ledger.settle(hold(ledger, entry), DONE)
    database.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("what", [".", "ledger.sqlite3", "ledger.sqlite3-wal"])
def test_a_file_that_root_made_is_told_with_its_owner(folder, entry, asked_at_once, what):
    database = open_database(f"sqlite:///{folder}/ledger.sqlite3", folder)
    path = folder / what
    os.seteuid(0)
    path.touch()
    os.chown(path, 0, 0)
    path.chmod(0o755 if what == "." else 0o600)
    os.seteuid(_NOBODY)

    with pytest.raises(DatabaseUnavailable) as caught:
        hold(Ledger(database, folder / "journal"), entry)
    name = folder.name if what == "." else what
    assert f"({name} belongs to root, and the server runs as nobody)" in caught.value.advice

    os.seteuid(0)
    os.chown(path, _NOBODY, _NOBODY)
    os.seteuid(_NOBODY)
    hold(Ledger(database, folder / "journal"), entry)
    database.close()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_file_that_is_gone_is_told_in_plain_words(
    store, database, ledger, entry, monkeypatch, asked_at_once, told
):
    monkeypatch.setattr("app.runtime.sqlite.CHECK_INTERVAL_S", 0.0)
    hold(ledger, entry)
    monkeypatch.setattr(database.driver._watch, "_check_at", 0.0)
    store.path.unlink()

    with pytest.raises(DatabaseUnavailable) as caught:
        hold(ledger, entry)
    assert "file is missing" in caught.value.advice
    assert [("file is missing" in advice) for advice in told()] == [True]
    with pytest.raises(DatabaseUnavailable) as caught:  # those who are refused without a look are told the same
        monkeypatch.setattr(store_guard, "RETRY_AFTER_S", 60.0)
        for _ in range(2):
            hold(ledger, entry)
    assert "file is missing" in caught.value.advice


def count_entries(database):
    with database.read_transaction() as connection:
        return connection.fetch_value("SELECT count(*) FROM entries")


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("opens_first", ["reader", "checkpoint"])
def test_nothing_is_written_to_a_file_that_another_has_replaced(
    store, database, ledger, entry, migrated_file, monkeypatch, opens_first
):
    """Not even if another connection is the first to open the new file."""
    monkeypatch.setattr("app.runtime.sqlite.CHECK_INTERVAL_S", 3600.0)
    hold(ledger, entry)
    new = store.path.with_name("new")
    shutil.copy(migrated_file, new)
    new.replace(store.path)
    for suffix in ("-wal", "-shm"):
        store.path.with_name(store.path.name + suffix).unlink(missing_ok=True)

    if opens_first == "reader":
        assert count_entries(database) == 0
    else:
        database.checkpoint()
    hold(ledger, entry)

    database.close()
    assert count_entries(database) == 1


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_server_that_only_reads_is_told_and_comes_back(store, database, ledger, entry, asked_at_once):
    """Each connection keeps what the server was when it was opened, as it does after a failover."""
    hold(ledger, entry)

    def set_read_only(value):
        with psycopg.connect(store.server.url("postgres"), autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {store.name} SET default_transaction_read_only = {value}")
            end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            if value == "on":
                admin.execute(end, [store.name])

    set_read_only("on")
    with suppress(DatabaseUnavailable):
        database.check()  # by a connection that was ended
    for use in (database.check, lambda: hold(ledger, entry), database.check):
        with pytest.raises(DatabaseUnavailable) as caught:
            use()
        assert "read-only" in caught.value.advice

    set_read_only("off")
    database.check()
    hold(ledger, entry)


@pytest.fixture
def ticks(monkeypatch):
    """Moves the clock by which outages are measured."""
    ahead = [0.0]
    monkeypatch.setattr("app.runtime.clock.ticks", lambda: time.monotonic() + ahead[0])
    return lambda seconds: ahead.__setitem__(0, ahead[0] + seconds)


@on_postgresql_thoroughly
def test_the_first_worker_back_leaves_others_the_time_to_settle(
    store, database, ledger, entry, rows, violations, clock, ticks, tmp_path, monkeypatch, asked_at_once
):
    monkeypatch.setattr("app.billing.ledger.background._ROUND_S", 0.01)
    other = Ledger(open_database(store.url, tmp_path), tmp_path / "other")
    of_living = [hold(other, entry) for _ in range(5)]
    hold(other, entry)  # of a worker that is killed
    with pytest.MonkeyPatch.context() as patch, store.frozen():
        patch.setattr(database_module, "TIMEOUT_S", 0.2)
        for one in of_living:
            other.settle(one, DONE)
        with pytest.raises(DatabaseUnavailable):
            database.probe()
        clock.move(100)  # longer than the leases
        ticks(100)
        with pytest.raises(DatabaseUnavailable):
            database.probe()

    rounds = []
    probe = database.probe
    monkeypatch.setattr(database, "probe", lambda: (probe(), rounds.append(None)))
    monkeypatch.setattr("app.billing.ledger.background._CHECK_S", 0.0)
    ledger.start()  # the first worker back
    wait_until(lambda: len(rounds) > 5, "some rounds")
    # PostgreSQL may have taken a settlement that it did not confirm.
    assert {row["outcome"] for row in rows("entries")} <= {None, "complete"}
    other.retry()
    ticks(121)
    wait_until(lambda: {row["state"] for row in rows("entries")} == {"settled"}, "the sweep")
    ledger.close()
    other._database.close()

    assert sorted(row["outcome"] for row in rows("entries")) == ["complete"] * 5 + ["expired"]
    assert not violations()
