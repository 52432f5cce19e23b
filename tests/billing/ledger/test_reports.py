"""Totals of days, and what is left of budgets."""

from __future__ import annotations

import time

import pytest

from app.billing.ledger.records import Limit, Settlement
from app.billing.ledger.reports import Reports
from tests.fakes.storage.rows import add_rows

USERS, DAYS, MODELS = 400, 120, 3


def add(database, rows):
    with database.transaction(30) as connection:
        add_rows(connection, "daily_totals", rows)


def row(**given):
    usual = {"day": "2026-11-20", "tenant": "acme", "user_id": "ann", "model": "m", "route": "/api/chat"}
    return {**usual, "requests": 1, "cost_micro_usd": 10, "tokens": 5, "prompt_tokens": 5, **given}


@pytest.fixture
def reports(database, clock):
    return Reports(database)


def test_nothing_used_is_a_total_of_nothing(reports):
    (total,) = reports.totals()
    assert (total.group, total.requests, total.cost_micro_usd) == ((), 0, 0)
    assert reports.totals(["day"]) == []


def test_totals_by_what_is_asked_for(reports, database):
    add(
        database,
        [
            row(),
            row(day="2026-11-19", model="n"),
            row(user_id="bob", requests=3, cost_micro_usd=70),
            row(tenant="other", user_id="ann", cost_micro_usd=1000),
        ],
    )

    by_user = reports.totals(["user"], tenant="acme")
    assert [(total.group, total.requests, total.cost_micro_usd) for total in by_user] == [
        (("ann",), 2, 20),
        (("bob",), 3, 70),
    ]
    of_ann = reports.totals(["day", "model"], tenant="acme", user="ann")
    assert [total.group for total in of_ann] == [("2026-11-19", "n"), ("2026-11-20", "m")]
    (day,) = reports.totals(tenant="acme", first_day="2026-11-20", last_day="2026-11-20")
    assert (day.requests, day.cost_micro_usd, day.tokens) == (4, 80, 10)
    assert [total.group for total in reports.totals(["tenant"])] == [("acme",), ("other",)]


def test_what_is_left_counts_what_is_held(ledger, reports, entry):
    limits = [Limit("user:acme/ann", "day", micro_usd=1_000), Limit("tenant:acme", "month", tokens=500)]
    spent = ledger.hold(entry(), limits, micro_usd=300, tokens=100, lease_s=90)
    ledger.settle(spent, Settlement(outcome="complete", source="reported", cost_micro_usd=200, prompt_tokens=80))
    ledger.hold(entry(), limits, micro_usd=300, tokens=100, lease_s=90)

    day, month, unused = reports.remaining([*limits, Limit("token:x", "day", micro_usd=7)])

    assert (day.micro_usd, day.tokens, day.spent_micro_usd, day.held_micro_usd) == (500, None, 200, 300)
    assert (month.micro_usd, month.tokens) == (None, 320)
    assert (day.resets_in_s, month.resets_in_s) == (12 * 3600, 10 * 86_400 + 12 * 3600)
    assert (unused.micro_usd, unused.spent_tokens) == (7, 0)


@pytest.mark.thorough
def test_reports_are_quick_where_many_used_it_for_months(reports, database, ledger, clock):
    # 144,000 totals: what 5 million requests come to where each user sends 35 a day and model.
    with database.transaction(30) as connection:
        connection.execute(f"""
            WITH RECURSIVE
                days(day) AS (SELECT 0 UNION ALL SELECT day + 1 FROM days WHERE day < {DAYS - 1}),
                users(number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM users WHERE number < {USERS - 1}),
                models(number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM models WHERE number < {MODELS - 1})
            INSERT INTO daily_totals (day, tenant, user_id, model, route, requests, cost_micro_usd, tokens)
            SELECT '2026-' || SUBSTR(CAST(107 + day / 30 AS TEXT), 2) || '-' || SUBSTR(CAST(101 + day - day / 30 * 30 AS TEXT), 2),
                'acme', 'u' || users.number, 'm' || models.number, '/api/chat', 35, 10, 5
            FROM days, users, models
        """)

    clock.move(60 * 86_400)
    ledger.roll_up()
    took_s = []
    # SQLite works in this process, whose own time no other load of the machine makes longer.
    now = time.process_time if database.driver.name == "sqlite" else time.perf_counter

    def timed(*by, **where):
        begun = now()
        found = reports.totals(*by, **where)
        took_s.append(now() - begun)
        return found

    (everything,) = timed()
    by_day = timed(["day"], tenant="acme", first_day="2026-09-01", last_day="2026-09-30")
    of_one = timed(["day", "model"], tenant="acme", user="u7")
    of_users = timed(["user"], first_day="2026-08-01", last_day="2026-11-30")

    assert everything.requests == USERS * DAYS * MODELS * 35 == 5_040_000
    assert len(by_day) == 30
    assert len(of_one) == DAYS * MODELS
    assert {user.requests for user in of_users} == {90 * MODELS * 35}
    assert max(took_s) < 0.1 if database.driver.name == "sqlite" else 1.0
