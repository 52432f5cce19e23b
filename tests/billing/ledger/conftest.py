from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.billing.ledger.ledger import Ledger
from app.billing.ledger.records import Limit, NewEntry
from app.storage.database.database import Database
from tests.fakes.storage.databases import database, migrated_database, postgres_server, store

__all__ = ["database", "migrated_database", "postgres_server", "store"]

NOON = 1795176000_000  # 2026-11-20, 12:00 UTC


class Clock:
    """The time that the ledger writes down, moved by hand."""

    def __init__(self) -> None:
        self.now_ms = NOON

    def move(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("app.runtime.clock.now_ms", lambda: clock.now_ms)
    return clock


@pytest.fixture
def ledger(database: Database, clock: Clock, tmp_path: Path) -> Ledger:
    return Ledger(database, tmp_path / "journal")


@pytest.fixture
def rows(database: Database) -> Callable[[str], list[dict[str, Any]]]:
    """What is in a table."""

    def read(table: str) -> list[dict[str, Any]]:
        with database.read_transaction() as connection:
            return connection.fetch_rows(f"SELECT * FROM {table}")

    return read


@pytest.fixture
def entry() -> Callable[..., NewEntry]:
    def make(**given: Any) -> NewEntry:
        usual: dict[str, Any] = {
            "request_id": "r1",
            "tenant": "acme",
            "user": "ann",
            "token_id": None,
            "route": "/api/chat",
            "operation": "chat",
            "model": "gpt-6.1-terra",
        }
        return NewEntry(**{**usual, **given})

    return make


@pytest.fixture
def violations(database: Database) -> Callable[..., list[str]]:
    """What is wrong with the books, all of it seen at one moment.

    With limits, for the accounts that they name, in the period that they name.
    """

    def find(limits: dict[tuple[str, str], Limit] | None = None) -> list[str]:
        with database.read_transaction() as connection:
            entries = connection.fetch_rows("SELECT * FROM entries")
            accounts = connection.fetch_rows("SELECT * FROM accounts")
            days = connection.fetch_rows("SELECT * FROM daily_totals")
        return [*_of_accounts(entries, accounts, limits or {}), *_of_days(entries, days)]

    return find


def _of_accounts(
    entries: list[dict[str, Any]], accounts: list[dict[str, Any]], limits: dict[tuple[str, str], Limit]
) -> Iterator[str]:
    names = ("held_micro_usd", "held_tokens", "spent_micro_usd", "spent_tokens")
    expected: Counter[tuple[str, str, str]] = Counter()
    for entry in entries:
        is_pending = entry["state"] == "pending"
        if is_pending == (entry["settled_at"] is not None) or is_pending == (entry["outcome"] is not None):
            yield f"{entry['id']} is neither pending nor settled"
        if is_pending:
            amounts = (entry["held_micro_usd"], entry["held_tokens"], 0, 0)
        else:
            amounts = (0, 0, entry["cost_micro_usd"] or 0, entry["tokens"])
        for key, period in json.loads(entry["accounts"]):
            expected.update({(key, period, name): amount for name, amount in zip(names, amounts, strict=True)})
    for account in accounts:
        where = (account["key"], account["period"])
        for name in names:
            amount = account[name]
            if type(amount) is not int or amount < 0 or amount != expected.pop((*where, name), 0):
                yield f"{where}: {name} is {amount!r}"
        limit = limits.get(where)
        if limit and limit.micro_usd is not None:
            used = account["spent_micro_usd"] + account["held_micro_usd"]
            if used > limit.micro_usd:
                yield f"{where}: {used} micro-dollars of {limit.micro_usd}"
        if limit and limit.tokens is not None:
            used = account["spent_tokens"] + account["held_tokens"]
            if used > limit.tokens:
                yield f"{where}: {used} tokens of {limit.tokens}"
    yield from (f"{name} has no account" for name, amount in expected.items() if amount)


def _of_days(entries: list[dict[str, Any]], days: list[dict[str, Any]]) -> Iterator[str]:
    settled = [entry for entry in entries if entry["state"] == "settled"]
    if sum(day["requests"] for day in days) != len(settled):
        yield "the days' requests are not the settled ones"
    for name in ("tokens", "cost_micro_usd", "prompt_tokens", "completion_tokens"):
        if sum(day[name] for day in days) != sum(entry[name] or 0 for entry in settled):
            yield f"the days' {name} are not those of the entries"
