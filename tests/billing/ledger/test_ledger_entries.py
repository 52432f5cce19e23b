"""What the ledger writes down, and what it refuses, one request after the other."""

from __future__ import annotations

import pytest

from app.billing.ledger.records import BudgetExceeded, HoldExpired, Limit, Settlement, Unpriced
from tests.fakes.storage.databases import on_postgresql_thoroughly

USER_DAY = Limit("user:acme/ann", "day", micro_usd=1_000)
DONE = Settlement(
    outcome="complete",
    source="reported",
    model="gpt-6.1-terra-2026-10-01",
    prompt_tokens=30,
    cached_tokens=10,
    completion_tokens=20,
    reasoning_tokens=5,
    cost_micro_usd=400,
    price_version="test/1",
    attempts=2,
    first_token_ms=120,
    total_ms=900,
)


def settled(**given):
    return Settlement(**{"outcome": "complete", "source": "reported", "cost_micro_usd": 0, **given})


def hold(ledger, entry, limits=(USER_DAY,), micro_usd=600, tokens=100, lease_s=90.0):
    return ledger.hold(entry(), limits, micro_usd=micro_usd, tokens=tokens, lease_s=lease_s)


def test_a_request_is_held_then_settled(ledger, entry, rows, clock, violations):
    held = hold(ledger, entry)

    (row,) = rows("entries")
    assert row["state"] == "pending"
    assert (row["held_micro_usd"], row["held_tokens"], row["outcome"]) == (600, 100, None)
    assert (row["created_at"], row["lease_until"]) == (clock.now_ms, clock.now_ms + 90_000)
    (account,) = rows("accounts")
    assert account == {
        "key": "user:acme/ann",
        "period": "2026-11-20",
        "spent_micro_usd": 0,
        "held_micro_usd": 600,
        "spent_tokens": 0,
        "held_tokens": 100,
    }

    clock.move(5)
    ledger.settle(held, DONE)

    (row,) = rows("entries")
    assert row["state"] == "settled"
    assert (row["request_id"], row["tenant"], row["user_id"], row["token_id"]) == ("r1", "acme", "ann", None)
    assert (row["model"], row["served_model"]) == ("gpt-6.1-terra", "gpt-6.1-terra-2026-10-01")
    assert (row["outcome"], row["source"], row["attempts"]) == ("complete", "reported", 2)
    assert (row["prompt_tokens"], row["cached_tokens"]) == (30, 10)
    assert (row["completion_tokens"], row["reasoning_tokens"]) == (20, 5)
    assert (row["cost_micro_usd"], row["price_version"], row["tokens"]) == (400, "test/1", 50)
    assert (row["first_token_ms"], row["total_ms"], row["over_hold"]) == (120, 900, 0)
    assert row["settled_at"] == clock.now_ms
    (account,) = rows("accounts")
    assert (account["spent_micro_usd"], account["held_micro_usd"]) == (400, 0)
    assert (account["spent_tokens"], account["held_tokens"]) == (50, 0)
    (day,) = rows("daily_totals")
    assert (day["day"], day["requests"], day["estimated"], day["unpriced"]) == ("2026-11-20", 1, 0, 0)
    assert (day["model"], day["cost_micro_usd"]) == ("gpt-6.1-terra-2026-10-01", 400)
    assert not violations()


def test_a_second_settle_changes_nothing(ledger, entry, rows, violations):
    held = hold(ledger, entry)
    ledger.settle(held, DONE)
    before = [rows(table) for table in ("entries", "accounts", "daily_totals")]

    ledger.settle(held, settled(cost_micro_usd=999, prompt_tokens=1))

    assert [rows(table) for table in ("entries", "accounts", "daily_totals")] == before
    assert not violations()


@on_postgresql_thoroughly
def test_a_reported_zero_is_zero_and_no_figure_is_none(ledger, entry, rows):
    ledger.settle(hold(ledger, entry), settled(prompt_tokens=0, completion_tokens=0, cost_micro_usd=0))
    ledger.settle(hold(ledger, entry), settled(source="estimated", prompt_tokens=7, cost_micro_usd=3))

    zero, estimated = sorted(rows("entries"), key=lambda row: row["source"], reverse=True)
    assert (zero["source"], zero["prompt_tokens"], zero["cost_micro_usd"]) == ("reported", 0, 0)
    assert (estimated["source"], estimated["completion_tokens"]) == ("estimated", None)
    (day,) = rows("daily_totals")
    assert (day["requests"], day["estimated"]) == (2, 1)


@on_postgresql_thoroughly
def test_what_does_not_fit_is_refused_and_leaves_no_trace(ledger, entry, rows, violations):
    hold(ledger, entry, micro_usd=600)

    with pytest.raises(BudgetExceeded) as refused:
        hold(ledger, entry, micro_usd=401)

    assert refused.value.limit == USER_DAY
    assert refused.value.is_held_by_running
    assert refused.value.retry_after_s == 5
    assert len(rows("entries")) == 1
    assert not violations({("user:acme/ann", "2026-11-20"): USER_DAY})
    hold(ledger, entry, micro_usd=400)  # to the last micro-dollar


@on_postgresql_thoroughly
def test_a_refusal_says_when_the_budget_begins_anew(ledger, entry):
    month = Limit("tenant:acme", "month", tokens=1_000)
    ledger.settle(
        hold(ledger, entry, [USER_DAY, month], tokens=100), settled(cost_micro_usd=900, prompt_tokens=950)
    )

    with pytest.raises(BudgetExceeded) as by_day:
        hold(ledger, entry, [USER_DAY], micro_usd=200)
    with pytest.raises(BudgetExceeded) as by_month:
        hold(ledger, entry, [month], micro_usd=0, tokens=51)
    with pytest.raises(BudgetExceeded) as never:
        hold(ledger, entry, [USER_DAY], micro_usd=1_001)

    assert (by_day.value.retry_after_s, by_day.value.is_held_by_running) == (12 * 3600, False)
    assert (by_month.value.retry_after_s, by_month.value.is_held_by_running) == (10 * 86_400 + 12 * 3600, False)
    assert never.value.retry_after_s is None


def test_one_refusing_limit_returns_what_the_others_held(ledger, entry, rows):
    small = Limit("user:acme/ann", "month", micro_usd=100)

    with pytest.raises(BudgetExceeded) as refused:
        hold(ledger, entry, [Limit("tenant:acme", "day", micro_usd=10_000), USER_DAY, small])

    assert refused.value.limit == small
    assert not any(account["held_micro_usd"] for account in rows("accounts"))


@on_postgresql_thoroughly
def test_the_budget_of_the_next_day_is_another_one(ledger, entry, rows, clock, violations):
    late = hold(ledger, entry, micro_usd=900)
    clock.move(13 * 3600)

    hold(ledger, entry, micro_usd=900)
    ledger.settle(late, settled(cost_micro_usd=800, prompt_tokens=1))

    spent = {account["period"]: account["spent_micro_usd"] for account in rows("accounts")}
    assert spent == {"2026-11-20": 800, "2026-11-21": 0}
    assert [day["day"] for day in rows("daily_totals")] == ["2026-11-20"]
    assert not violations()


def test_what_cost_more_than_was_held_is_charged_and_marked(ledger, entry, rows, violations):
    ledger.settle(hold(ledger, entry, micro_usd=600), settled(cost_micro_usd=1_500, prompt_tokens=1))

    assert rows("entries")[0]["over_hold"] == 1
    assert rows("accounts")[0]["spent_micro_usd"] == 1_500
    assert not violations()
    with pytest.raises(BudgetExceeded):
        hold(ledger, entry, micro_usd=0)


@on_postgresql_thoroughly
def test_a_model_without_a_price_counts_tokens_and_is_refused_for_money_only(ledger, entry, rows, violations):
    by_tokens = Limit("user:acme/ann", "day", tokens=150)
    with pytest.raises(Unpriced) as refused:
        hold(ledger, entry, [by_tokens, Limit("tenant:acme", "month", micro_usd=10**9)], micro_usd=None)
    assert refused.value.limit.key == "tenant:acme"

    held = hold(ledger, entry, [by_tokens], micro_usd=None)
    ledger.settle(held, settled(cost_micro_usd=None, prompt_tokens=60, completion_tokens=40))

    (row,) = rows("entries")
    assert (row["cost_micro_usd"], row["tokens"]) == (None, 100)
    assert rows("daily_totals")[0]["unpriced"] == 1
    assert not violations()
    with pytest.raises(BudgetExceeded):
        hold(ledger, entry, [by_tokens], micro_usd=None, tokens=51)


@on_postgresql_thoroughly
def test_a_request_without_limits_has_its_row_all_the_same(ledger, entry, rows, violations):
    ledger.settle(hold(ledger, entry, []), DONE)

    assert [row["state"] for row in rows("entries")] == ["settled"]
    assert (rows("accounts"), rows("entries")[0]["over_hold"]) == ([], 0)
    assert not violations()


def test_a_hold_is_extended_as_far_as_the_budget_goes(ledger, entry, rows, violations):
    held = hold(ledger, entry, micro_usd=400)

    ledger.extend(held, micro_usd=500, tokens=50)
    with pytest.raises(BudgetExceeded):
        ledger.extend(held, micro_usd=101, tokens=0)

    with pytest.raises(Unpriced):
        ledger.extend(held, micro_usd=None, tokens=0)

    assert (held.micro_usd, held.tokens) == (900, 150)
    assert (rows("entries")[0]["held_micro_usd"], rows("entries")[0]["held_tokens"]) == (900, 150)
    assert not violations({("user:acme/ann", "2026-11-20"): USER_DAY})
    ledger.settle(held, settled(cost_micro_usd=100, prompt_tokens=1))
    assert (rows("accounts")[0]["spent_micro_usd"], rows("accounts")[0]["held_micro_usd"]) == (100, 0)
    with pytest.raises(HoldExpired):
        ledger.extend(held, micro_usd=1, tokens=0)


def test_a_request_whose_worker_died_is_swept_at_all_it_held(ledger, entry, rows, clock, violations):
    dead = hold(ledger, entry, micro_usd=600, tokens=100, lease_s=90)
    assert ledger.sweep() == 0
    clock.move(91)
    hold(ledger, entry, micro_usd=100, lease_s=90)

    assert ledger.sweep() == 1

    row = next(row for row in rows("entries") if row["id"] == dead.id)
    assert (row["outcome"], row["source"]) == ("expired", "estimated")
    assert (row["cost_micro_usd"], row["tokens"], row["prompt_tokens"]) == (600, 100, None)
    assert (rows("accounts")[0]["spent_micro_usd"], rows("accounts")[0]["held_micro_usd"]) == (600, 100)
    ledger.settle(dead, DONE)  # it lived after all, and is too late
    assert [row["outcome"] for row in rows("entries") if row["id"] == dead.id] == ["expired"]
    assert ledger.sweep() == 0
    assert not violations()


@on_postgresql_thoroughly
def test_a_swept_request_of_unknown_price_has_no_cost(ledger, entry, rows, clock):
    hold(ledger, entry, [], micro_usd=None, lease_s=1)
    clock.move(2)

    ledger.sweep()

    assert rows("entries")[0]["cost_micro_usd"] is None


@on_postgresql_thoroughly
def test_two_requests_may_have_the_same_id(ledger, entry, rows):
    first, second = hold(ledger, entry, []), hold(ledger, entry, [])

    ledger.settle(second, DONE)

    assert first.id != second.id
    assert sorted(row["state"] for row in rows("entries")) == ["pending", "settled"]


@on_postgresql_thoroughly
def test_what_cannot_be_written_down_is_left_to_the_sweep(ledger, entry, rows, clock, caplog, violations):
    held = hold(ledger, entry, lease_s=1)

    ledger.settle(held, settled(prompt_tokens=2**80))
    clock.move(2)
    ledger.sweep()

    assert "ledger.settle_failed" in caplog.text
    assert [row["outcome"] for row in rows("entries")] == ["expired"]
    assert not violations()
