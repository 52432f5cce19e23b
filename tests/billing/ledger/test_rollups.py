"""What is rolled up is the sum of its daily totals, and these of the settled entries, whatever happened in which order."""

# ruff: noqa: PLR0917  # fixtures

from __future__ import annotations

import random
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date, timedelta

import pytest

from app.billing.ledger import rollups
from app.billing.ledger.ledger import Ledger
from app.billing.ledger.records import SUMS, Limit, Settlement
from app.billing.ledger.reports import Reports
from app.billing.ledger.rollups import LEVELS, end_month
from app.storage.database.connections.connection import Connection
from app.storage.database.database import open_database
from app.storage.database.migrate import read_revision
from tests.fakes.storage.databases import on_postgresql_thoroughly
from tests.fakes.storage.rows import add_rows

COLUMNS = {"day": "day", "model": "model", "route": "route", "user": "user_id", "tenant": "tenant"}
DAY_S = 86_400
BYS = [
    *([], ["day"], ["day", "model"], ["route"], ["tenant"], ["user"], ["model", "tenant"], ["tenant", "user"]),
    *(["day", "tenant"], ["day", "user"], ["user", "model"], ["day", "tenant", "user", "model", "route"]),
]


@pytest.fixture
def reports(database):
    return Reports(database)


def read(database, table):
    with database.read_transaction() as connection:
        return connection.fetch_rows(f"SELECT * FROM {table}")


def add_up(rows, by, tenant=None, user=None, first_day=None, last_day=None):
    """The report, from the daily totals."""
    sums = defaultdict(lambda: [0] * len(SUMS))
    if not by:
        sums[()] = [0] * len(SUMS)
    for row in rows:
        if tenant not in {None, row["tenant"]} or user not in {None, row["user_id"]}:
            continue
        if (first_day or "") <= row["day"] <= (last_day or "9999"):
            group = tuple(row[COLUMNS[name]] for name in by)
            sums[group] = [a + row[name] for a, name in zip(sums[group], SUMS, strict=True)]
    return dict(sums)


def as_dict(totals):
    return {total.group: [getattr(total, name) for name in SUMS] for total in totals}


def check(database, reports, chance):
    """Compare reports of all groupings, over spans that begin and end anywhere, with the daily totals."""
    rows = read(database, "daily_totals")
    days = sorted({row["day"] for row in rows}) or ["2026-11-20"]
    ends = [None, *days, end_month(days[0]), f"{days[-1][:8]}01", f"{days[-1][:8]}31"]
    for by in BYS:
        first, last = chance.choice([None, *days, f"{days[0][:8]}01"]), chance.choice(ends)
        for where in (
            {},
            chance.choice([{"tenant": "a"}, {"tenant": "b"}, {"user": "u1"}, {"tenant": "a", "user": "u2"}]),
        ):
            asked = {"first_day": first, "last_day": last, **where}
            found = reports.totals(by, **asked)
            expected = add_up(rows, by, **asked)
            assert as_dict(found) == expected, (by, asked)
            if database.driver.name == "sqlite":  # PostgreSQL's order of texts is not Python's
                assert [total.group for total in found] == sorted(expected)
            if where:
                continue
            dearest = [total.cost_micro_usd for total in reports.totals(by, **asked, max_groups=3)]
            at = SUMS.index("cost_micro_usd")
            assert dearest == sorted((sums[at] for sums in expected.values()), reverse=True)[:3]


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.thorough)])
def test_reports_are_the_same_after_any_order_of_events(database, ledger, reports, entry, clock, violations, seed):
    chance = random.Random(seed)
    limits = [Limit("tenant:a", "month", micro_usd=10**12)]
    open_holds = []

    def hold():
        user = f"u{chance.randrange(3)}"
        made = entry(
            tenant=chance.choice("ab"), user=user, model=chance.choice("mn"), route=chance.choice(["/x", "/y"])
        )
        lease_s = chance.choice([90, 7 * DAY_S])
        open_holds.append(
            ledger.hold(made, chance.choice([[], limits]), micro_usd=900, tokens=90, lease_s=lease_s)
        )

    def settle():
        if open_holds:
            late = open_holds.pop(chance.randrange(len(open_holds)))
            ledger.settle(
                late,
                Settlement(
                    outcome="complete",
                    source=chance.choice(["reported", "estimated", "cached"]),
                    model=chance.choice(["", "served"]),
                    cost_micro_usd=chance.choice([None, 7, 500]),
                    prompt_tokens=chance.choice([None, 10]),
                    reasoning_tokens=chance.choice([None, 3]),
                ),
            )

    def correct():
        # By hand, as nothing here corrects what is settled.
        name, sign = chance.choice([("estimated", -1), ("cost_micro_usd", 1), ("unpriced", -1)])
        statement = f"UPDATE daily_totals SET {name} = {name} + {sign} WHERE user_id = 'u0' AND {name} > 0"
        with database.transaction() as connection:
            connection.execute(statement)

    steps = [hold] * 5 + [settle] * 4 + [ledger.sweep, ledger.roll_up, ledger.roll_up]
    for at in range(120):
        chance.choice(steps)()
        clock.move(chance.choice([60, DAY_S // 3, DAY_S, 3 * DAY_S]))
        if at == 80:
            assert not violations()
            steps.append(correct)
        if at % 60 == 59:
            check(database, reports, chance)
    ledger.roll_up()
    assert {row["level"] for row in read(database, "rolled_totals")} == {level.name for level in LEVELS}


@on_postgresql_thoroughly
def test_what_is_settled_late_is_in_the_next_report(database, ledger, reports, entry, clock):
    early, late = (ledger.hold(entry(), [], micro_usd=9, tokens=9, lease_s=9 * DAY_S) for _ in range(2))
    done = Settlement(outcome="complete", source="reported", cost_micro_usd=5, prompt_tokens=2)
    ledger.settle(early, done)
    clock.move(4 * DAY_S)
    assert ledger.roll_up() == 2  # the days; the month is not over
    assert ledger.roll_up() == 0

    ledger.settle(late, done)

    assert read(database, "rolled_totals") == []
    (total,) = reports.totals()
    assert (total.requests, total.cost_micro_usd) == (2, 10)
    assert ledger.roll_up() == 2
    assert reports.totals() == [total]


@on_postgresql_thoroughly
def test_a_settlement_of_today_leaves_what_is_rolled_up(database, ledger, entry, clock):
    done = Settlement(outcome="complete", source="reported", cost_micro_usd=5, prompt_tokens=2)
    for _ in range(2):
        ledger.settle(ledger.hold(entry(), [], micro_usd=9, tokens=9, lease_s=90), done)
        clock.move(40 * DAY_S)
        ledger.roll_up()
    before = read(database, "rolled_totals")

    ledger.settle(ledger.hold(entry(), [], micro_usd=9, tokens=9, lease_s=90), done)

    assert read(database, "rolled_totals") == before
    assert len(before) == 2 * len(LEVELS)


@on_postgresql_thoroughly
@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM daily_totals WHERE day = ?",
        "UPDATE daily_totals SET day = '2026-01-01' WHERE day = ?",
        "UPDATE daily_totals SET day = '2027-12-31' WHERE day = ?",
    ],
)
def test_what_somebody_deletes_or_moves_is_so_in_the_next_report(database, ledger, reports, entry, clock, change):
    done = Settlement(outcome="complete", source="reported", cost_micro_usd=5, prompt_tokens=2)
    for _ in range(3):
        ledger.settle(ledger.hold(entry(), [], micro_usd=9, tokens=9, lease_s=90), done)
        clock.move(3 * DAY_S)
    ledger.roll_up()
    last = max(row["day"] for row in read(database, "daily_totals"))
    assert last in {row["last_day"] for row in read(database, "rolled_totals")}

    with database.transaction() as connection:
        connection.execute(change, (last,))

    for by in ([], ["day"]):
        assert as_dict(reports.totals(by)) == add_up(read(database, "daily_totals"), by)


@pytest.mark.parametrize(
    "store", ["sqlite", pytest.param("postgresql", marks=pytest.mark.thorough)], indirect=True
)
def test_tables_of_the_last_version_are_rolled_up_a_month_at_a_time(store, tmp_path, clock):
    from app.storage.database.migrations.upgrade import upgrade, wrap_connection  # loads Alembic and SQLAlchemy

    database = open_database(store.url, tmp_path)
    database.driver.create()
    driver = database.driver
    with driver.pool.lend() as raw, wrap_connection(driver, raw) as connection:
        driver.begin_migration(raw)
        upgrade(connection, "0008")
        assert read_revision(driver, raw) == "0008"
        first = date(2025, 10, 3)
        add_rows(
            Connection(raw, driver.placeholder),
            "daily_totals",
            [
                {
                    "day": (first + timedelta(days=number)).isoformat(),
                    "tenant": "ab"[user % 2],
                    "user_id": f"u{user}",
                    "model": "m",
                    "route": "/x",
                    "requests": 1 + user,
                    "cost_micro_usd": number,
                    "tokens": 5,
                }
                for number in range(410)
                for user in range(3)
            ],
        )
        raw.execute("COMMIT")

    reports = Reports(database)
    database.migrate()
    before = {tuple(by): reports.totals(by, first_day="2025-10-20") for by in BYS}
    steps = Ledger(database, tmp_path / "journal").roll_up()

    assert steps == 2 * 14 + 2 * 13  # days of 14 months, and 13 months that are over
    assert {tuple(by): reports.totals(by, first_day="2025-10-20") for by in BYS} == before
    check(database, reports, random.Random(2))
    with database.read_transaction() as connection:
        last = connection.fetch_value("SELECT max(last_day) FROM rolled_totals")
    assert last == "2026-11-16"
    database.close()


MONTHLY = [
    {"day": f"2026-0{month}-11", "tenant": "a", "user_id": "u", "model": "m", "route": "/x", "requests": month}
    for month in range(1, 9)
]


def test_workers_that_roll_up_at_once_agree(database, store, tmp_path, clock, monkeypatch):
    with database.transaction() as connection:
        add_rows(connection, "daily_totals", MONTHLY)
    barrier, met, find = threading.Barrier(3), threading.local(), rollups._find_next

    def find_together(*args):
        found = find(*args)
        if not hasattr(met, "others"):
            met.others = barrier.wait(20)
        return found

    monkeypatch.setattr(rollups, "_find_next", find_together)
    with (
        closing(open_database(store.url, tmp_path)) as second,
        closing(open_database(store.url, tmp_path)) as third,
        ThreadPoolExecutor(3) as workers,
    ):
        done = [*workers.map(lambda each: Ledger(each, tmp_path / "journal").roll_up(), [database, second, third])]

    assert sum(done) == len(LEVELS) * len(MONTHLY)
    check(database, Reports(database), random.Random(3))


def test_what_is_settled_while_a_step_begins_is_not_skipped(
    database, store, reports, ledger, tmp_path, clock, monkeypatch
):
    early, last = MONTHLY[:-1], MONTHLY[-1:]
    with database.transaction() as connection:
        add_rows(connection, "daily_totals", early)
    ledger.roll_up()
    with database.transaction() as connection:
        add_rows(connection, "daily_totals", last)
    late = [f"UPDATE daily_totals SET requests = 100 WHERE day = '{early[0]['day']}'"]
    find = rollups._find_next

    def find_before_it(*args):
        found = find(*args)
        if late:
            with closing(open_database(store.url, tmp_path)) as other, other.transaction() as connection:
                connection.execute(late.pop())
        return found

    monkeypatch.setattr(rollups, "_find_next", find_before_it)
    ledger.roll_up()

    check(database, reports, random.Random(4))
    assert reports.totals()[0].requests == 100 + sum(row["requests"] for row in MONTHLY[1:])
