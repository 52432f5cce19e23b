"""Read reports: usage from the totals of days and months, and what is left of budgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from app.billing.ledger import sql_texts
from app.billing.ledger.records import SUMS, Limit
from app.billing.ledger.rollups import read_ends, run_off_hub
from app.billing.ledger.totals_query import Grouping, Selection, build_totals
from app.frozen import frozen
from app.models.token_counts.usage import Figures
from app.runtime import clock
from app.runtime.periods import DAY_MS, Window, get_period, get_seconds_left, get_start_ms
from app.runtime.turns import in_turns
from app.storage.database.connections.sql import Where
from app.storage.database.database import Database

# A report may take longer than a settlement, as no request waits for it.
_REPORT_S = 10.0

# Ids begin with the time, so no more rows are read than the LIMIT says, however many there are.
_LATEST_CALLS = """
SELECT outcome, first_token_ms FROM (
    SELECT tenant, outcome, first_token_ms FROM entries WHERE id >= ? AND id < ? AND state = 'settled'
    ORDER BY id DESC LIMIT ?
) AS latest
"""
_SPENDING = """
SELECT key, spent_micro_usd + held_micro_usd AS used FROM accounts
WHERE (key BETWEEN 'tenant:' AND 'tenant;' OR key = 'anonymous') AND period = ?
ORDER BY used DESC LIMIT ?
"""
_UNUSED = {"spent_micro_usd": 0, "spent_tokens": 0, "held_micro_usd": 0, "held_tokens": 0}

_get_sums = attrgetter(*SUMS)


@frozen(kw_only=True)
class Total(Figures):
    """The totals of a group of requests.

    Attributes:
        group: the group's values, in the order of `by`.
        requests: number of requests.
        estimated: number of requests whose tokens were estimated.
        unpriced: number of requests whose cost is unknown and not included.
        tokens: tokens charged to budgets; more than prompt plus completion if a full hold was charged.
        cost_micro_usd: the sum of the known costs.
    """

    group: tuple[str, ...]
    requests: int
    estimated: int
    unpriced: int
    tokens: int
    cost_micro_usd: int


def add_totals(group: tuple[str, ...], totals: Sequence[Total]) -> Total:
    """Return the total of a group, the sum of the totals of its parts."""
    sums = map(sum, zip(*map(_get_sums, totals), strict=True)) if totals else (0 for _ in SUMS)
    return Total(group=group, **dict(zip(SUMS, sums, strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Remaining:
    """What an account has left in the current period; None means no limit."""

    limit: Limit
    spent_micro_usd: int
    held_micro_usd: int
    spent_tokens: int
    held_tokens: int
    resets_in_s: int

    @property
    def micro_usd(self) -> int | None:
        """Micro-dollars left."""
        return _subtract(self.limit.micro_usd, self.spent_micro_usd + self.held_micro_usd)

    @property
    def tokens(self) -> int | None:
        """Tokens left."""
        return _subtract(self.limit.tokens, self.spent_tokens + self.held_tokens)


class Reports:
    """Reads reports. Every method raises DatabaseUnavailable if the database does not answer."""

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
        max_groups: int | None = None,
    ) -> list[Total]:
        """Return the totals of requests by group, ordered by group. Without `by`, return one total.

        Args:
            by: the columns to group by.
            tenant: only this tenant's requests.
            user: only this user's requests.
            first_day: inclusive, in UTC, such as "2026-11-20".
            last_day: inclusive.
            max_groups: return only this many groups, those with the highest cost first.
        """
        selected = Selection(tenant=tenant, user=user, first_day=first_day, last_day=last_day)
        with self._database.read_transaction(_REPORT_S) as connection:
            query = build_totals(by, read_ends(connection), selected, max_groups)
            rows = run_off_hub(self._database, connection, query)
        size = len(by)
        return [
            Total(group=tuple(row[:size]), **dict(zip(SUMS, map(int, row[size:]), strict=True)))
            for row in in_turns(rows)
        ]

    def sample_calls(
        self, *, first_day: str, last_day: str, tenant: str | None = None, max_calls: int = 5000
    ) -> list[tuple[str, int | None]]:
        """Return the outcome of the latest calls of a period, and the milliseconds to their first token.

        Args:
            first_day: inclusive, in UTC, such as "2026-11-20".
            last_day: inclusive.
            tenant: return only this tenant's calls among those read.
            max_calls: how many of the latest calls, of all tenants, are read.
        """
        first_ms, end_ms = get_start_ms(first_day), get_start_ms(last_day) + DAY_MS
        where = Where({"tenant": tenant})
        query = f"{_LATEST_CALLS} {where}", (f"{first_ms:012x}", f"{end_ms:012x}", max_calls, *where.values)
        with self._database.read_transaction(_REPORT_S) as connection:
            return [
                (str(outcome), first_ms) for outcome, first_ms in run_off_hub(self._database, connection, query)
            ]

    def count_holds(self) -> int:
        """Return how many entries are not settled."""
        with self._database.read_transaction() as connection:
            return int(connection.fetch_value("SELECT count(*) FROM entries WHERE state = 'pending'"))

    def find_spending(self, window: Window, *, max_accounts: int = 50) -> tuple[dict[str, int], int]:
        """Return the micro-dollars that each tenant, and all anonymous callers, have spent or hold in a window.

        Args:
            window: the window of the budgets.
            max_accounts: return only this many accounts, those that spent most.

        Returns:
            micro-dollars by account, and the seconds until the window ends.
        """
        at_ms = clock.now_ms()
        with self._database.read_transaction() as connection:
            rows = connection.execute(_SPENDING, (get_period(window, at_ms), max_accounts)).fetchall()
        return {key: int(used) for key, used in rows}, get_seconds_left(window, at_ms)

    def remaining(self, limits: Sequence[Limit]) -> list[Remaining]:
        """Return what each limit has left now, in the order given."""
        at_ms = clock.now_ms()
        remaining = []
        with self._database.read_transaction() as connection:
            for limit in limits:
                period = get_period(limit.window, at_ms)
                used = connection.fetch_row(sql_texts.READ_ACCOUNT, (limit.key, period)) or _UNUSED
                resets_in_s = get_seconds_left(limit.window, at_ms)
                remaining.append(Remaining(limit=limit, resets_in_s=resets_in_s, **used))
        return remaining


def _subtract(limit: int | None, used: int) -> int | None:
    return None if limit is None else max(0, limit - used)
