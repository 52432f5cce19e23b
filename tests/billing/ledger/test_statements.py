"""How many statements a store is given: each is a round trip, and in SQLite a turn at the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.billing.ledger.ledger import Ledger
from app.billing.ledger.records import BudgetExceeded, Limit, Settlement
from app.storage.database.database import open_database
from app.storage.database.postgres_driver import BoundedConnection
from bench.counts.statements import count_sql_statements

DONE = Settlement(outcome="complete", source="reported", cost_micro_usd=40, prompt_tokens=4)
LIMITS = [
    Limit("tenant:acme", "month", micro_usd=1000),
    Limit("token:t", "month", micro_usd=1000),
    Limit("user:acme/ann", "day", tokens=1000),
]


@pytest.fixture
def statements(database, monkeypatch):
    """What the store is given, once its connections are open."""
    if database.driver.name == "postgresql":
        given = []
        execute = BoundedConnection.execute
        monkeypatch.setattr(
            "app.storage.database.postgres_driver.BoundedConnection.execute",
            lambda self, sql, *values: given.append(sql) or execute(self, sql, *values),
        )
        yield given
    else:
        database.close()
        with count_sql_statements() as given:
            yield given


@pytest.mark.parametrize("limits", [[], LIMITS], ids=["no limits", "limits"])
def test_a_hold_and_a_settlement_are_one_statement_each(database, statements, entry, clock, violations, limits):
    ledger = Ledger(database, Path("unused"))

    def hold():
        return ledger.hold(entry(), limits, micro_usd=100, tokens=10, lease_s=90)

    ledger.settle(hold(), DONE)
    statements.clear()
    held = hold()
    assert len(statements) == 1
    ledger.settle(held, DONE)
    assert len(statements) == 2
    assert not violations()


def test_a_writer_that_is_opened_again_keeps_the_books(database, entry, clock, violations):
    ledger = Ledger(database, Path("unused"))
    for _ in range(2):
        held = ledger.hold(entry(), LIMITS, micro_usd=100, tokens=10, lease_s=90)
        database.close()
        ledger.settle(held, DONE)
        database.close()
    assert not violations()


@pytest.mark.parametrize("short", range(3))
def test_the_limit_that_refuses_is_named_and_the_others_are_not_charged(ledger, entry, rows, violations, short):
    limits = list(LIMITS)
    limits[short] = Limit(LIMITS[short].key, LIMITS[short].window, micro_usd=150, tokens=15)
    ledger.hold(entry(), limits, micro_usd=100, tokens=10, lease_s=90)

    with pytest.raises(BudgetExceeded) as refusal:
        ledger.hold(entry(), limits, micro_usd=100, tokens=10, lease_s=90)

    assert refusal.value.limit == limits[short]
    assert {row["held_micro_usd"] for row in rows("accounts")} == {100}
    assert not violations()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_file_holds_no_trigger_of_a_settlement(database, ledger, entry, rows):
    ledger.settle(ledger.hold(entry(), LIMITS, micro_usd=100, tokens=10, lease_s=90), DONE)

    triggers = [row for row in rows("sqlite_master") if row["type"] == "trigger"]
    assert {row["tbl_name"] for row in triggers} == {"daily_totals"}
    # Those of migration 0010: they forget what is rolled up, whichever version settles.
    assert all(row["name"].startswith("forget_rolled_totals_") for row in triggers)


def test_two_ledgers_on_one_database_count_once(database, entry, clock, violations, tmp_path):
    for _ in range(2):
        ledger = Ledger(database, tmp_path)
        ledger.settle(ledger.hold(entry(), LIMITS, micro_usd=100, tokens=10, lease_s=90), DONE)
    assert not violations()


def test_an_entry_that_another_process_settled_is_not_settled_again(
    store, database, ledger, entry, tmp_path, rows
):
    other = open_database(store.url, tmp_path)
    held = ledger.hold(entry(), LIMITS, micro_usd=100, tokens=10, lease_s=90)
    for one in (Ledger(other, tmp_path), ledger):
        one.settle(held, DONE)
    other.close()

    assert [row["requests"] for row in rows("daily_totals")] == [1]
    assert {row["spent_micro_usd"] for row in rows("accounts")} == {40}
