"""Build the query of a report's totals: it reads rolled-up rows where they exist, and daily totals for the other days.

The spans of a query do not overlap. So the result is the sum of the daily totals, however much is rolled up.
"""

# ruff: noqa: S608  # only names that this program knows get into statements

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, NamedTuple

from app.billing.ledger.records import SUMS
from app.billing.ledger.rollups import DAYS, TENANT_DAYS, TENANT_MONTHS, USER_MONTHS, Level, end_month
from app.storage.database.connections.sql import Statement, Where

Grouping = Literal["day", "model", "route", "user", "tenant"]

_COLUMNS = {"day": "day", "model": "model", "route": "route", "user": "user_id", "tenant": "tenant"}
_FIRST, _LAST = "", "9999-12-31"
# Pairs of a level by day and one by month, those with the fewest rows first. A query takes the first pair that has the
# columns it needs. None in place of a level by day: the daily totals. None in place of one by month: there is none.
_SOURCES: tuple[tuple[Level, Level | None], ...] = ((DAYS, None), (TENANT_DAYS, TENANT_MONTHS))
_OF_USERS: tuple[Level | None, Level | None] = (None, USER_MONTHS)


class Span(NamedTuple):
    """A range of days, both inclusive, and the level that has their totals; None means the daily totals."""

    level: Level | None
    first: str
    last: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The tenant, user and days of a report; both days are inclusive, and None means all."""

    tenant: str | None = None
    user: str | None = None
    first_day: str | None = None
    last_day: str | None = None

    @property
    def filters(self) -> dict[str, str]:
        """The required value of each filtered column."""
        values = {"tenant": self.tenant, "user_id": self.user}
        return {name: value for name, value in values.items() if value is not None}


def build_totals(
    by: Sequence[Grouping], ends: Mapping[Level, str], selected: Selection, max_groups: int | None
) -> Statement:
    """Return the query of `Reports.totals()`. `ends` are the last days that each level has."""
    groups, filters = [_COLUMNS[name] for name in by], selected.filters
    spans = _choose_spans(by, ends, filters, selected.first_day or _FIRST, selected.last_day or _LAST)
    parts = [_sum_span(span, groups, filters) for span in spans]
    grouped = [f"group_{at}" for at in range(len(groups))]
    order = grouped if max_groups is None else ["sum(cost_micro_usd) DESC", "sum(tokens) DESC", *grouped]
    sql = f"""
    SELECT {", ".join([*grouped, *(f"coalesce(sum({name}), 0)" for name in SUMS)])}
    FROM ({" UNION ALL ".join(part for part, _ in parts)}) AS parts
    {_write_list("GROUP BY", grouped)} {_write_list("ORDER BY", order)}
    """
    values = tuple(value for _, bound in parts for value in bound)
    return (sql, values) if max_groups is None else (f"{sql} LIMIT ?", (*values, max_groups))


def _choose_spans(
    by: Sequence[Grouping], ends: Mapping[Level, str], filters: Mapping[str, str], first: str, last: str
) -> Iterator[Span]:
    if "user_id" in filters or last < first:
        yield Span(None, first, last)  # daily totals have an index by user and day
        return
    needed = {_COLUMNS[name] for name in by if name != "day"} | filters.keys()
    daily, monthly = next((levels for levels in _SOURCES if needed <= levels[0].dimensions), _OF_USERS)
    months = None if monthly is None or "day" in by else _find_months(first, min(last, ends[monthly]))
    if months is None:
        yield from _split(daily, ends, first, last)
        return
    first_month, last_month = months
    yield Span(monthly, first_month, last_month)
    if first < first_month:
        yield from _split(daily, ends, first, _add_days(first_month, -1))
    if last_month < last:
        yield from _split(daily, ends, _add_days(last_month, 1), last)


def _find_months(first: str, last: str) -> tuple[str, str] | None:
    """Return the first and the last day of the whole months between two days; None if there is none."""
    start = first if not first or first.endswith("-01") else _add_days(end_month(first), 1)
    end = last if not last or last == end_month(last) else _add_days(f"{last[:8]}01", -1)
    return (start, end) if start < end else None


def _split(daily: Level | None, ends: Mapping[Level, str], first: str, last: str) -> Iterator[Span]:
    """Yield the span of the days that a level has, then that of the days that only the daily totals have."""
    end = ends[daily] if daily is not None else ""
    if first <= end:
        yield Span(daily, first, min(last, end))
    if end < last:
        yield Span(None, max(first, _add_days(end, 1) if end else ""), last)


def _sum_span(span: Span, groups: Sequence[str], filters: Mapping[str, str]) -> Statement:
    table, day = ("daily_totals", "day") if span.level is None else ("rolled_totals", "last_day")
    columns = [day if name == "day" else name for name in groups]
    shown = [f"{column} AS group_{at}" for at, column in enumerate(columns)]
    where = Where({"level": span.level and span.level.name})
    if span.first != _FIRST:
        where.add(f"{day} >= ?", span.first)
    if span.last != _LAST:
        where.add(f"{day} <= ?", span.last)
    for name, value in filters.items():
        # `|| ''` keeps SQLite from using the index by tenant and user for all rows of a tenant: they are too many.
        where.add(f"{name} = ?" if "user_id" in filters else f"{name} || '' = ?", value)
    sums = [f"sum({name}) AS {name}" for name in SUMS]
    sql = f"SELECT {', '.join([*shown, *sums])} FROM {table} {where} {_write_list('GROUP BY', columns)}"
    return sql, tuple(where.values)


def _write_list(clause: str, columns: Sequence[str]) -> str:
    return f"{clause} {', '.join(columns)}" if columns else ""


def _add_days(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
