"""Holds and settlements of requests that are ready at once, which share a transaction of SQLite under gevent."""

# ruff: noqa: PLR0917  # fixtures

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import gevent
import pytest

from app.billing.ledger.ledger import Ledger
from app.billing.ledger.records import BudgetExceeded, Hold, Limit, Settlement
from tests.fakes.ready_greenlets import start_together

ROOT = Path(__file__).parents[3]
DAY = Limit("user:acme/ann", "day", micro_usd=350)
DONE = Settlement(outcome="complete", source="reported", cost_micro_usd=40, prompt_tokens=4)

pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@pytest.fixture
def ledger(database, clock, tmp_path, monkeypatch):
    monkeypatch.setattr("app.billing.ledger.ledger.is_cooperative", lambda: True)
    return Ledger(database, tmp_path / "journal")


@pytest.fixture
def groups(database, monkeypatch):
    """How many statements each transaction had that several shared, as a list that grows."""
    sizes: list[int] = []
    begin, execute = database.driver.begin, database.driver.execute

    def note_begin(raw, deadline, *, writes):
        begin(raw, deadline, writes=writes)
        sizes.append(0)

    def note_execute(raw, *arguments):
        if raw.in_transaction:
            sizes[-1] += 1
        return execute(raw, *arguments)

    monkeypatch.setattr(database.driver, "begin", note_begin)
    monkeypatch.setattr(database.driver, "execute", note_execute)
    return sizes


def hold(ledger, entry, *limits):
    return ledger.hold(entry(), limits, micro_usd=100, tokens=10, lease_s=90)


def test_as_many_are_admitted_as_fit_and_nobody_else_is_moved(ledger, entry, rows, violations, groups):
    ledger.settle(hold(ledger, entry, DAY), Settlement(outcome="complete", source="reported", cost_micro_usd=0))

    calls = [(ledger, entry, *limits) for limits in [[DAY]] * 6 + [[]] * 3]
    outcomes = start_together(hold, *calls)

    assert sorted(type(each).__name__ for each in outcomes[:6]) == ["BudgetExceeded"] * 3 + ["Hold"] * 3
    assert [type(each) for each in outcomes[6:]] == [Hold] * 3
    assert 9 in groups
    assert rows("accounts")[0]["held_micro_usd"] == 300
    held = [each for each in outcomes if not isinstance(each, BudgetExceeded)]
    start_together(ledger.settle, *((each, DONE) for each in held + held[:2]))  # two of them twice
    assert 8 in groups
    assert rows("accounts")[0]["spent_micro_usd"] == 120
    assert sorted(row["cost_micro_usd"] for row in rows("entries")) == [0] + [40] * 6
    assert not violations()


def test_an_outage_amid_them_holds_nothing_and_settles_later(
    store, database, ledger, entry, rows, violations, monkeypatch
):
    monkeypatch.setattr("app.runtime.store_guard.RETRY_AFTER_S", 0.0)
    held = [hold(ledger, entry) for _ in range(3)]
    with pytest.MonkeyPatch.context() as patch, store.frozen():
        patch.setattr("app.storage.database.database.TIMEOUT_S", 0.2)
        start_together(ledger.settle, *((each, DONE) for each in held))
        assert ledger.count_pending() == 3
        outcomes = start_together(hold, *[(ledger, entry)] * 3)
    assert {each.code for each in outcomes} == {"store_unavailable"}

    ledger.retry()

    assert [row["outcome"] for row in rows("entries")] == ["complete"] * 3
    assert not violations()


def test_a_request_that_is_killed_before_it_knows_holds_nothing(
    database, ledger, entry, rows, violations, monkeypatch
):
    commit = database.driver.commit
    greenlets: list[gevent.Greenlet] = []

    def kill_one(raw, deadline):
        commit(raw, deadline)
        if greenlets:
            greenlets.pop().kill(block=False)

    monkeypatch.setattr(database.driver, "commit", kill_one)
    outcomes = start_together(hold, *[(ledger, entry)] * 3, then=greenlets.extend)
    assert sorted(type(each).__name__ for each in outcomes) == ["GreenletExit", "Hold", "Hold"]
    assert [row["state"] for row in rows("entries")] == ["pending"] * 3

    ledger.retry()

    assert sorted(str(row["outcome"]) for row in rows("entries")) == ["None", "None", "not_admitted"]
    assert not violations()


def test_a_request_that_is_killed_while_it_settles_is_settled(
    database, ledger, entry, rows, violations, monkeypatch
):
    held = [hold(ledger, entry) for _ in range(3)]
    begin = database.driver.begin
    greenlets: list[gevent.Greenlet] = []

    def kill_one(raw, deadline, *, writes):
        begin(raw, deadline, writes=writes)
        if greenlets:
            greenlets.pop().kill()

    monkeypatch.setattr(database.driver, "begin", kill_one)
    start_together(ledger.settle, *((each, DONE) for each in held), then=greenlets.extend)
    assert sorted(row["state"] for row in rows("entries")) == ["pending", "settled", "settled"]

    ledger.retry()

    assert [row["outcome"] for row in rows("entries")] == ["complete"] * 3
    assert not violations()


WORKER = """
from gevent import monkey
monkey.patch_all()
import sys, types
from pathlib import Path
sys.modules["app"] = types.ModuleType("app")
sys.modules["app"].__path__ = ["app"]
import gevent
from app.storage.database.database import open_database
from app.billing.ledger.ledger import Ledger
from app.billing.ledger.records import NewEntry, Settlement
from tests.fakes.ready_greenlets import start_together

database = open_database(sys.argv[1], Path())
ledger = Ledger(database, Path(sys.argv[2]))
entry = NewEntry("r", "acme", "ann", None, "/api/chat", "chat", "m")
begin = database.driver.begin

def note(raw, deadline, *, writes):
    begin(raw, deadline, writes=writes)
    print("group", flush=True)

database.driver.begin = note

def request():
    held = ledger.hold(entry, [], micro_usd=1, tokens=1, lease_s=600)
    print("held", held.id, flush=True)
    gevent.sleep(0.001)
    ledger.settle(held, Settlement(outcome="complete", source="reported", cost_micro_usd=1, tokens=1))
    print("settled", held.id, flush=True)

while True:
    start_together(request, *[()] * 16)
"""


@pytest.mark.thorough
@pytest.mark.parametrize("kills", [1, pytest.param(4, marks=pytest.mark.thorough)])
def test_a_killed_process_loses_only_what_nobody_was_told_of(store, database, rows, violations, tmp_path, kills):
    chance = random.Random(3)
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, store.url, str(tmp_path / "journal")],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        told = [process.stdout.readline()]
        time.sleep(chance.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        told += process.stdout.read().splitlines()
        process.wait()
        process.stdout.close()

        states = {row["id"]: row["state"] for row in rows("entries")}
        pairs = [line.split() for line in told if " " in line]
        assert any(line.startswith("group") for line in told)
        assert {states[which] for what, which in pairs if what == "settled"} <= {"settled"}
        assert all(which in states for _, which in pairs)
        assert not violations()
