"""Roll up the daily totals into sums of many rows, which reports of long periods read instead.

A level is a sum over tenants, users or the days of a month. A rolled-up row always equals the sum of its daily
totals: if one of these changes, a trigger deletes the rolled-up row (migrations 0009 and 0010), and it is computed
again.
"""

# ruff: noqa: S608  # only names that this program knows get into statements

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.billing.ledger.records import SUMS
from app.runtime import clock
from app.runtime.blocking import run_blocking
from app.runtime.periods import DAY_MS, get_day
from app.runtime.turns import give_turn
from app.storage.database.connections.connection import Connection
from app.storage.database.connections.sql import Statement
from app.storage.database.database import Database

_DIMENSIONS = ("tenant", "user_id", "model", "route")
# Calls that began yesterday may still run, and each settlement deletes the rolled-up rows of its day.
_RECENT_DAYS = 2


@dataclass(frozen=True, slots=True)
class Level:
    """A kind of rolled-up rows.

    Attributes:
        name: the value of the column `level`.
        dimensions: the columns that rows are grouped by; the other ones are empty.
        is_monthly: whether a row sums a whole month, else a day.
    """

    name: str
    dimensions: frozenset[str]
    is_monthly: bool = False


DAYS = Level("days", frozenset({"model", "route"}))
TENANT_DAYS = Level("tenant_days", frozenset({"tenant", "model", "route"}))
TENANT_MONTHS = Level("tenant_months", frozenset({"tenant", "model", "route"}), is_monthly=True)
USER_MONTHS = Level("user_months", frozenset(_DIMENSIONS), is_monthly=True)
LEVELS = (DAYS, TENANT_DAYS, TENANT_MONTHS, USER_MONTHS)


def roll_up(database: Database) -> int:
    """Roll up all days but the last two. Return how many steps it took, each of at most a month of one level.

    A step blocks writers while it sums: 0.1 s for a month with a thousand users a day. Several processes may roll up
    at once, and each may be stopped at any time.

    Raises:
        DatabaseUnavailable: the remaining days are rolled up the next time.
    """
    until = get_day(clock.now_ms() - _RECENT_DAYS * DAY_MS)
    steps = 0
    for level in LEVELS:
        while _take_step(database, level, until):
            steps += 1
            give_turn()
    return steps


def read_ends(connection: Connection) -> dict[Level, str]:
    """Return the last rolled-up day of each level; "" if it has none."""
    return {level: _read_end(connection, level) for level in LEVELS}


def end_month(day: str) -> str:
    """Return the last day of a day's month."""
    return f"{day[:8]}{monthrange(int(day[:4]), int(day[5:7]))[1]}"


def run_off_hub(database: Database, connection: Connection, statement: Statement) -> Sequence[Any]:
    """Run a statement and return its rows. On SQLite it runs in a thread, as a long one would block all greenlets."""

    def run() -> Sequence[Any]:
        cursor = connection.execute(*statement)
        return cursor.fetchall() if cursor.description else ()

    return run_blocking(run) if database.driver.name == "sqlite" else run()


def _take_step(database: Database, level: Level, until: str) -> bool:
    """Roll up the next days of a level. Return whether there were any."""
    with database.read_transaction() as connection:
        if _find_next(connection, level, until) is None:
            return False
    with database.transaction() as connection:
        if database.driver.name == "postgresql":
            # Without the lock, a concurrent settlement would not see these rows, and so not delete them. And another
            # process would insert them as well.
            connection.execute("LOCK TABLE daily_totals IN SHARE ROW EXCLUSIVE MODE")
        # Find it again: another process may have taken this step, or a settlement may have deleted rows before it.
        span = _find_next(connection, level, until)
        if span is not None:
            run_off_hub(database, connection, _build_step(level, *span))
    return span is not None


def _find_next(connection: Connection, level: Level, until: str) -> tuple[str, str] | None:
    """Return the first and the last day of the next step: within a month, and a whole month if the level is monthly."""
    end = _read_end(connection, level)
    first = connection.fetch_value("SELECT min(day) FROM daily_totals WHERE day > ?", (end,))
    if first is None or first > until:
        return None
    last = end_month(first)
    if last <= until:
        return first, last
    return None if level.is_monthly else (first, until)


def _read_end(connection: Connection, level: Level) -> str:
    return connection.fetch_value("SELECT max(last_day) FROM rolled_totals WHERE level = ?", (level.name,)) or ""


def _build_step(level: Level, first: str, last: str) -> Statement:
    grouped = [name for name in _DIMENSIONS if name in level.dimensions]
    values = [name if name in level.dimensions else "''" for name in _DIMENSIONS]
    last_day, groups = ("?", grouped) if level.is_monthly else ("day", ["day", *grouped])
    sql = f"""
    INSERT INTO rolled_totals (level, last_day, {", ".join((*_DIMENSIONS, *SUMS))})
    SELECT ?, {last_day}, {", ".join(values)}, {", ".join(f"sum({name})" for name in SUMS)}
    FROM daily_totals WHERE day BETWEEN ? AND ? GROUP BY {", ".join(groups)}
    """
    return sql, (level.name, *([last] if level.is_monthly else []), first, last)
