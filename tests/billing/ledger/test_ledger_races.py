"""Several processes, each with several threads, at the same budgets; and some of them killed."""

# ruff: noqa: PLR0917  # fixtures

from __future__ import annotations

import random
import time
from dataclasses import asdict
from typing import Any

import pytest

from app.billing.ledger.records import BudgetExceeded, Limit, Settlement
from app.runtime.periods import get_period
from tests.billing.ledger.ledger_worker import run_together, workers
from tests.fakes.tables import further


@pytest.fixture
def now_ms(monkeypatch):
    """The real time, as the other processes have it."""
    monkeypatch.setattr("app.runtime.clock.now_ms", lambda: time.time_ns() // 1_000_000)
    return time.time_ns() // 1_000_000


def accounts_of(limits, now_ms):
    return {(limit.key, get_period(limit.window, now_ms)): limit for limit in limits}


@pytest.mark.parametrize(
    "amounts",
    [{"micro_usd": 700, "tokens": 0}, pytest.param({"micro_usd": 1, "tokens": 700}, marks=pytest.mark.thorough)],
)
@pytest.mark.parametrize("store", ["sqlite", *further("postgresql")], indirect=True)
def test_exactly_as_many_are_admitted_as_fit(store, ledger, entry, rows, violations, now_ms, amounts):
    # 64 threads ask for 512, of which 150 fit. The account that is short comes first in the order of their keys: one
    # before it would be locked, and let them in one by one.
    limit = {"micro_usd": 700 * 150 + 699} if amounts["tokens"] == 0 else {"tokens": 700 * 150 + 699}
    limits = [
        Limit("user:acme/ann", "month", **limit),
        Limit("zone:wide", "month", micro_usd=10**12, tokens=10**12),
    ]
    told = {"limits": [asdict(limit) for limit in limits], "threads": 16, "each": 8, **amounts}

    told_by_each = run_together(store.url, 4, "admit", **told)

    assert [unavailable for _, unavailable in told_by_each] == [[]] * 4
    assert sum(admitted for admitted, _ in told_by_each) == 150
    assert len(rows("entries")) == 150
    assert not violations(accounts_of(limits, now_ms))

    # All is returned, so nobody is refused for what no longer runs.
    free = Settlement(outcome="rejected", source="reported", cost_micro_usd=0, tokens=0)
    for row in rows("entries"):
        ledger._settle(row["id"], free)
    for _ in range(150):
        ledger.hold(entry(), limits, lease_s=600, **amounts)
    with pytest.raises(BudgetExceeded):
        ledger.hold(entry(), limits, lease_s=600, **amounts)
    assert not violations(accounts_of(limits, now_ms))


def test_whatever_is_killed_every_request_has_one_settled_row(
    store, ledger, rows, violations, now_ms, monkeypatch
):
    limits = [
        Limit("user:acme/ann", "month", micro_usd=20_000),
        Limit("tenant:acme", "month", tokens=30_000),
    ]
    accounts = accounts_of(limits, now_ms)
    chance = random.Random(7)
    admitted = []
    told = {"limits": [asdict(limit) for limit in limits], "threads": 4, "lease_s": 600}
    pending: list[dict[str, Any]] = []
    for _ in range(20):  # three are enough, unless the machine has little time for them
        with workers(store.url, 4, "live", **told) as processes:
            for process in processes:
                process.begin()
            for process in chance.sample(processes, len(processes)):
                time.sleep(0.05 + chance.random() * 0.05)
                assert not violations(accounts)
                admitted += process.kill()
        pending = [row for row in rows("entries") if row["state"] == "pending"]
        if pending and len(admitted) > 50:
            break
    assert not violations(accounts)
    assert pending
    assert len(admitted) > 50

    monkeypatch.setattr("app.runtime.clock.now_ms", lambda: now_ms + 3_600_000)
    # Several sweepers at once, as there is one in each worker.
    # Twice, as PostgreSQL may still finish what a killed process had sent to it.
    assert ledger.sweep() + ledger.sweep()

    entries = rows("entries")
    assert {row["state"] for row in entries} == {"settled"}
    assert set(admitted) <= {row["id"] for row in entries}
    assert not any(row["held_micro_usd"] or row["held_tokens"] for row in rows("accounts"))
    assert not violations(accounts)


@pytest.mark.parametrize("store", ["sqlite", *further("postgresql")], indirect=True)
def test_several_sweepers_settle_each_dead_request_once(store, ledger, entry, rows, clock, violations):
    limits = [Limit("user:acme/ann", "day", micro_usd=10**9)]
    clock.now_ms -= 3_600_000 * 24 * 365  # long dead, to the clock of the others
    for _ in range(60):
        ledger.hold(entry(), limits, micro_usd=10, tokens=1, lease_s=1)

    assert sum(run_together(store.url, 3, "sweep")) == 60
    assert rows("accounts")[0]["spent_micro_usd"] == 600
    assert not violations()
