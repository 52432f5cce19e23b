"""Reports: what was used, from the daily totals alone, and what is left of budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, func, select

from app.in_thread import in_thread
from app.ledger import clock
from app.ledger.database import Database
from app.ledger.periods import left_s, period_of
from app.ledger.records import Limit
from app.ledger.tables import accounts, daily_totals
from app.token_counts.usage import FIGURES, Figures

Grouping = Literal["day", "model", "route", "user", "tenant"]

# Others wait for money; a report may take longer, and reads beside them.
_REPORT_S = 10.0

_COLUMNS: dict[str, Any] = {
    "day": daily_totals.c.day,
    "model": daily_totals.c.model,
    "route": daily_totals.c.route,
    "user": daily_totals.c.user_id,
    "tenant": daily_totals.c.tenant,
}
SUMS = ("requests", "estimated", "unpriced", *FIGURES, "tokens", "cost_micro_usd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Total(Figures):
    """What the requests of a group came to.

    Attributes:
        group: the values of what was grouped by, in that order.
        estimated: requests whose tokens nobody reported.
        unpriced: requests whose cost is not known, and not in the sum.
        tokens: what budgets were charged; more than prompt and completion where a whole hold was.
    """

    group: tuple[str, ...]
    requests: int
    estimated: int
    unpriced: int
    tokens: int
    cost_micro_usd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """What an account has left in the day or month that it is; None where there is no limit."""

    limit: Limit
    spent_micro_usd: int
    held_micro_usd: int
    spent_tokens: int
    held_tokens: int
    resets_in_s: int

    @property
    def micro_usd(self) -> int | None:
        return _left(self.limit.micro_usd, self.spent_micro_usd + self.held_micro_usd)

    @property
    def tokens(self) -> int | None:
        return _left(self.limit.tokens, self.spent_tokens + self.held_tokens)


class Reports:
    """Each method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def totals(
        self,
        by: Sequence[Grouping] = (),
        *,
        tenant: str | None = None,
        user: str | None = None,
        first_day: str | None = None,
        last_day: str | None = None,
    ) -> list[Total]:
        """Totals of the requests admitted in some days, in the order of their groups; one in all without `by`.

        Args:
            first_day, last_day: both included, in UTC: "2026-11-20".
        """
        conditions: list[ColumnElement[bool]] = []
        if tenant is not None:
            conditions.append(daily_totals.c.tenant == tenant)
        if user is not None:
            conditions.append(daily_totals.c.user_id == user)
        if first_day is not None:
            conditions.append(daily_totals.c.day >= first_day)
        if last_day is not None:
            conditions.append(daily_totals.c.day <= last_day)
        groups = [_COLUMNS[name] for name in by]
        sums = [func.coalesce(func.sum(daily_totals.c[name]), 0) for name in SUMS]
        query = select(*groups, *sums).where(*conditions).group_by(*groups).order_by(*groups)
        with self._database.reading(_REPORT_S) as connection:
            rows = self._long(connection, query)
        return [
            Total(
                group=tuple(row[: len(groups)]),
                **{name: int(row[len(groups) + at]) for at, name in enumerate(SUMS)},
            )
            for row in rows
        ]

    def _long(self, connection: Connection, query: Select[Any]) -> Sequence[Any]:
        """Where the store is a file, reading much of it would stop all greenlets of a worker."""
        if self._database.driver.name != "sqlite":
            return connection.execute(query).all()
        compiled = query.compile(connection)
        values = [compiled.params[name] for name in compiled.positiontup or ()]
        raw: Any = connection.connection.driver_connection
        return in_thread(lambda: raw.execute(str(compiled), values).fetchall())

    def remaining(self, limits: Sequence[Limit]) -> list[Remaining]:
        """What is left of each limit now, in their order."""
        at_ms = clock.now_ms()
        left = []
        with self._database.reading() as connection:
            for limit in limits:
                period = period_of(limit.window, at_ms)
                row = connection.execute(
                    select(accounts).where(accounts.c.key == limit.key, accounts.c.period == period)
                ).one_or_none()
                left.append(
                    Remaining(
                        limit=limit,
                        spent_micro_usd=row.spent_micro_usd if row else 0,
                        held_micro_usd=row.held_micro_usd if row else 0,
                        spent_tokens=row.spent_tokens if row else 0,
                        held_tokens=row.held_tokens if row else 0,
                        resets_in_s=left_s(limit.window, at_ms),
                    )
                )
        return left


def _left(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)
