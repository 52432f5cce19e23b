"""What is deleted when it is old enough, what stays, and that nobody waits for it."""

from __future__ import annotations

import pytest

from app.billing.ledger.records import Limit, Settlement
from app.billing.ledger.reports import Reports
from app.cli.data.retention import pruning
from app.cli.data.retention.pruning import prune
from app.config import Config
from tests.billing.ledger.conftest import NOON
from tests.fakes.storage.databases import on_postgresql_thoroughly
from tests.fakes.storage.rows import add_rows

DAY_S = 86_400
LIMIT = Limit("user:acme/ann", "day", micro_usd=10**9)


@pytest.fixture
def call(ledger, entry):
    def make(**given):
        hold = ledger.hold(entry(**given), [LIMIT], micro_usd=100, tokens=10, lease_s=60)
        ledger.settle(hold, Settlement(outcome="complete", source="reported", cost_micro_usd=7, prompt_tokens=3))
        return hold.id

    return make


def run(database, **settings):
    return prune(database, Config(**settings), pause=lambda seconds: None)


@on_postgresql_thoroughly
def test_everything_is_kept_unless_something_is_set(database, call, clock, rows):
    call()
    clock.move(5000 * DAY_S)

    assert run(database) == {"accounts": 1}
    assert len(rows("entries")) == 1


def test_entries_go_and_the_totals_of_their_days_stay(database, call, clock, rows):
    old = [call() for _ in range(3)]
    clock.move(10 * DAY_S)
    kept = call()
    reports = Reports(database)
    before = (reports.totals(("day", "user")), reports.totals())

    assert run(database, entries_keep_days=7)["entries"] == len(old)

    assert [row["id"] for row in rows("entries")] == [kept]
    assert (reports.totals(("day", "user")), reports.totals()) == before
    assert before[1][0].requests == 4


@on_postgresql_thoroughly
def test_a_day_is_kept_as_a_whole(database, call, clock, rows):
    call()
    clock.move(11.9 * 3600)  # 23:54 of the same day
    call()

    clock.move(7 * DAY_S)
    assert run(database, entries_keep_days=7)["entries"] == 0
    clock.move(DAY_S)
    assert run(database, entries_keep_days=7)["entries"] == 2


@on_postgresql_thoroughly
def test_what_is_pending_or_still_to_be_told_stays(database, ledger, entry, call, clock, rows):
    pending = ledger.hold(entry(), [LIMIT], micro_usd=100, tokens=10, lease_s=1000 * DAY_S)
    untold = call()
    call()
    with database.transaction() as connection:
        add_rows(connection, "outbox", [{"target": "webhook", "entry_id": untold}])
    clock.move(100 * DAY_S)

    assert run(database, entries_keep_days=7)["entries"] == 1

    assert {row["id"] for row in rows("entries")} == {pending.id, untold}
    (account,) = rows("accounts")
    assert account["held_micro_usd"] == 100, "a hold is settled in its account, however old"
    ledger.settle(pending, Settlement(outcome="complete", source="reported", cost_micro_usd=7, prompt_tokens=3))
    assert run(database)["accounts"] == 1


@on_postgresql_thoroughly
def test_settling_a_deleted_entry_again_changes_nothing(database, ledger, entry, clock, rows):
    hold = ledger.hold(entry(), [], micro_usd=100, tokens=10, lease_s=60)
    settlement = Settlement(outcome="complete", source="reported", cost_micro_usd=7, prompt_tokens=3)
    ledger.settle(hold, settlement)
    clock.move(100 * DAY_S)
    run(database, entries_keep_days=7)

    ledger.settle(hold, settlement)  # as a journal may say

    assert [row["requests"] for row in rows("daily_totals")] == [1]


def test_each_table_that_grows_has_its_own_rule(database, clock, rows):
    now_s = NOON // 1000
    batch = {
        **{"tenant": "t", "user_id": "u", "kind": "chat", "model": "m", "requests": "[]", "total": 1},
        **{"entry_id": "e", "checked_at": NOON, "busy_until": 0, "created_at": NOON},
    }
    event = {"kind": "k", "action": "noted"}
    change = {"at": NOON, "actor": "a", "action": "key.create", "target": "t", "details": "{}"}
    session = {"name": "n", "address": "a", "created_at": now_s}
    with database.transaction() as connection:
        for old, new in ((1, 0), (0, 1)):
            at = now_s - old * 40 * DAY_S + new * DAY_S
            which = "old" if old else "new"
            rows_of = {
                "revoked_tokens": {"tenant": "t", "token_id": which, "expires_at": at},
                "revoked_users": {"tenant": "t", "user_id": which, "issued_until": 1, "expires_at": at},
                "admin_sessions": {**session, "id": which, "expires_at": at},
                "safety_events": {**event, "webhook_id": which, "received_at": at * 1000},
                "audit_trail": {**change, "id": f"{at * 1000:012x}{which}"},
                "batches": {**batch, "id": which, "status": "completed", "ended_at": at * 1000},
            }
            for table, values in rows_of.items():
                add_rows(connection, table, [values])
        add_rows(connection, "batches", [{**batch, "id": "open", "status": "in_progress"}])
    expired = {"revoked_tokens": 1, "revoked_users": 1, "admin_sessions": 1}

    assert run(database) == expired
    assert run(database, audit_keep_days=5) == {"audit_trail": 1}
    assert run(database, safety_events_keep_days=5) == {"safety_events": 1}
    assert run(database, entries_keep_days=5) == {"batches": 1}

    assert {row["id"] for row in rows("batches")} == {"new", "open"}
    assert [row["token_id"] for row in rows("revoked_tokens")] == ["new"]


def test_no_transaction_deletes_more_than_a_few_rows(database, call, clock, rows, monkeypatch):
    """And others write between two of them."""
    monkeypatch.setattr(pruning, "ROWS_AT_ONCE", 4)
    for _ in range(10):
        call()
    clock.move(10 * DAY_S)
    left = []

    def pause(seconds):
        left.append(len(rows("entries")))
        call()

    prune(database, Config(entries_keep_days=7), pause=pause)

    before = 10
    for found in left:
        assert before - found <= 4
        before = found + 1
    assert len(rows("entries")) == len(left), "those of the pauses"


def test_two_at_once_do_not_count_a_row_twice(database, call, clock, monkeypatch):
    for _ in range(6):
        call()
    clock.move(10 * DAY_S)
    settings = Config(entries_keep_days=7)
    real = pruning._delete
    others = []

    def delete_after_another(*args):
        if not others:
            others.append(None)
            others[0] = prune(database, settings, pause=lambda seconds: None)
        return real(*args)

    monkeypatch.setattr(pruning, "_delete", delete_after_another)
    own = prune(database, settings, pause=lambda seconds: None)

    assert own["entries"] + others[0]["entries"] == 6
