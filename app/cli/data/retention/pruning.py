"""Delete rows in small batches, so that no request waits for it."""

# ruff: noqa: S608  # statements contain only names from this program

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from app.cli.data.retention.rules import Rule, list_rules
from app.config import Config
from app.runtime import clock
from app.storage.database.connections.sql import Where, write_marks
from app.storage.database.database import Contended, Database

ROWS_AT_ONCE = 200
_READ_S = 10.0
_TRIES = 20
_CONTENDED_PAUSE_S = 0.5


def prune(database: Database, config: Config, *, pause: Callable[[float], None] = time.sleep) -> Counter[str]:
    """Delete the rows that the settings no longer retain. Return the number of deleted rows by table.

    Read transactions, which block no writer, find the rows. Short transactions delete them; the pause after each is as
    long as it took. Several processes may run this at the same time, and each may be stopped at any time.

    Raises:
        DatabaseUnavailable: the remaining rows are left for the next run.
    """
    deleted: Counter[str] = Counter()
    for rule in list_rules(config, clock.now_ms()):
        last: Sequence[Any] | None = None
        while keys := _find(database, rule, last):
            last = keys[-1]
            began = clock.ticks()
            deleted[rule.table] += _delete(database, rule, keys, pause)
            pause(clock.ticks() - began)
    return deleted


def _find(database: Database, rule: Rule, last: Sequence[Any] | None) -> Sequence[Sequence[Any]]:
    """Return the keys of the next rows to delete, sorted."""
    columns = ", ".join(rule.key)
    where = Where()
    where.add(rule.condition, rule.value)
    if last is not None:
        where.add(f"({columns}) > ({write_marks(last)})", *last)
    query = f"SELECT {columns} FROM {rule.table} {where} ORDER BY {columns} LIMIT {ROWS_AT_ONCE}"
    with database.read_transaction(_READ_S) as connection:
        found: Sequence[Sequence[Any]] = connection.execute(query, where.values).fetchall()
    return found


def _delete(database: Database, rule: Rule, keys: Sequence[Sequence[Any]], pause: Callable[[float], None]) -> int:
    """Delete the rows with these keys that still meet the rule."""
    rows = ", ".join([f"({write_marks(rule.key)})"] * len(keys))
    where = Where()
    where.add(f"({', '.join(rule.key)}) IN (VALUES {rows})", *chain.from_iterable(keys))
    where.add(rule.condition, rule.value)
    statement = f"DELETE FROM {rule.table} {where}"
    for tries_left in reversed(range(_TRIES)):
        try:
            with database.transaction() as connection:
                return int(connection.execute(statement, where.values).rowcount)
        except Contended:
            if not tries_left:
                raise
            pause(_CONTENDED_PAUSE_S)
    raise AssertionError("the last try returns or raises")
