"""Build the query of a report's totals, over as few rows as there are: what is rolled up, and the days between.

The spans of a query do not overlap, so their sums are those of the daily totals, whatever is rolled up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Select, Table, func, select, union_all

from app.ledger.rollups import DAYS, TENANT_DAYS, TENANT_MONTHS, USER_MONTHS, Level, end_month
from app.ledger.tables import SUMS, daily_totals, rolled_totals

Grouping = Literal["day", "model", "route", "user", "tenant"]

_COLUMNS = {"day": "day", "model": "model", "route": "route", "user": "user_id", "tenant": "tenant"}
_FIRST, _LAST = "", "9999-12-31"
# By what is not added up, the fewest rows first: the levels by days and by months. Without one the daily totals are read.
_SOURCES: tuple[tuple[Level, Level | None], ...] = ((DAYS, None), (TENANT_DAYS, TENANT_MONTHS))
_OF_USERS: tuple[Level | None, Level | None] = (None, USER_MONTHS)


class Span(NamedTuple):
    """Days, both inclusive, and the level that has their totals; None: the daily totals."""

    level: Level | None
    first: str
    last: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Whose totals, and of which days, both inclusive; None means all."""

    tenant: str | None = None
    user: str | None = None
    first_day: str | None = None
    last_day: str | None = None

    @property
    def filters(self) -> dict[str, str]:
        """The columns that must have a value."""
        values = {"tenant": self.tenant, "user_id": self.user}
        return {name: value for name, value in values.items() if value is not None}


def build_totals(
    by: Sequence[Grouping], ends: Mapping[Level, str], selected: Selection, most: int | None
) -> Select[Any]:
    """Return the query of `Reports.totals()`; `ends` are the last days that the levels have."""
    groups, filters = [_COLUMNS[name] for name in by], selected.filters
    spans = list(_choose_spans(by, ends, filters, selected.first_day or _FIRST, selected.last_day or _LAST))
    parts = union_all(*(_sum_span(span, groups, filters) for span in spans)).subquery()
    grouped = [parts.c[f"group_{at}"] for at in range(len(groups))]
    order: list[ColumnElement[Any]] = [*grouped]
    if most is not None:
        order = [func.sum(parts.c.cost_micro_usd).desc(), func.sum(parts.c.tokens).desc(), *grouped]
    sums = [func.coalesce(func.sum(parts.c[name]), 0) for name in SUMS]
    return select(*grouped, *sums).group_by(*grouped).order_by(*order).limit(most)


def _choose_spans(
    by: Sequence[Grouping], ends: Mapping[Level, str], filters: Mapping[str, str], first: str, last: str
) -> Iterator[Span]:
    if "user_id" in filters or last < first:
        yield Span(None, first, last)  # an index has the days of each user
        return
    needed = {_COLUMNS[name] for name in by if name != "day"} | filters.keys()
    daily, monthly = next((levels for levels in _SOURCES if needed <= levels[0].keeps), _OF_USERS)
    months = None if monthly is None or "day" in by else _find_months(first, min(last, ends[monthly]))
    if months is None:
        yield from _split(daily, ends, first, last)
        return
    first_month, last_month = months
    yield Span(monthly, first_month, last_month)
    if first < first_month:
        yield from _split(daily, ends, first, _move(first_month, -1))
    if last_month < last:
        yield from _split(daily, ends, _move(last_month, 1), last)


def _find_months(first: str, last: str) -> tuple[str, str] | None:
    """Return the first and the last day of the whole months between two days; None if there is none."""
    start = first if not first or first.endswith("-01") else _move(end_month(first), 1)
    end = last if not last or last == end_month(last) else _move(f"{last[:8]}01", -1)
    return (start, end) if start < end else None


def _split(daily: Level | None, ends: Mapping[Level, str], first: str, last: str) -> Iterator[Span]:
    """Yield the days that a level has, and those that only the daily totals have."""
    end = ends[daily] if daily is not None else ""
    if first <= end:
        yield Span(daily, first, min(last, end))
    if end < last:
        yield Span(None, max(first, _move(end, 1) if end else ""), last)


def _sum_span(span: Span, groups: Sequence[str], filters: Mapping[str, str]) -> Select[Any]:
    table: Table = daily_totals if span.level is None else rolled_totals
    day = table.c.day if span.level is None else table.c.last_day
    columns = [day if name == "day" else table.c[name] for name in groups]
    shown = [column.label(f"group_{at}") for at, column in enumerate(columns)]
    query = select(*shown, *(func.sum(table.c[name]).label(name) for name in SUMS)).group_by(*columns)
    if span.level is not None:
        query = query.where(table.c.level == span.level.name)
    if span.first != _FIRST:
        query = query.where(day >= span.first)
    if span.last != _LAST:
        query = query.where(day <= span.last)
    if "user_id" in filters:
        return query.where(*(table.c[name] == value for name, value in filters.items()))
    # Else SQLite would take the index of users for a tenant's rows too, which are too many for it.
    return query.where(*(table.c[name] + "" == value for name, value in filters.items()))


def _move(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
