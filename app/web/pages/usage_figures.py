"""Collect the data of the usage page. It is read from totals, which have few rows for any number of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.auth import Principal
from app.billing.ledger.reports import Remaining, Total, add_totals
from app.billing.ledger.totals_query import Grouping
from app.limits.limit_status import LimitStatus, find_limit_status
from app.models.pricing.savings import find_cache_savings
from app.services import Services
from app.web.pages.charts import Chart, choose_series, list_days, stack_bars
from app.web.schemas.usage import UsageQuery

_MAX_GROUPS = 15
"""How many users, tenants or routes are listed: the most expensive ones."""

_SUCCESSFUL = {"complete", "client_gone"}


@dataclass(frozen=True, slots=True)
class Quality:
    """The quality of the latest calls: how many there were, how many failed, and the time to their first token."""

    calls: int
    failed: int
    first_token_ms: tuple[int, int] | None
    """The median and the 95th percentile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFigures:
    """The data of the page.

    Attributes:
        models: the totals of each model, the most expensive first.
        days: the totals of each bar by its first day, the newest first.
        groups: the most expensive users, tenants and routes, at most `max_groups` of each.
        saved_micro_usd: how much the upstream's prompt cache saved.
        limit_status: the limits of the viewer; None for administrators of all tenants, who see `budgets` instead.
        budgets: each budget that several users share: account, spent, budget, in micro-dollars.
        quality: None if the viewer sees only their own calls, which are not sampled.
    """

    total: Total
    models: list[Total]
    days: list[Total]
    cost: Chart
    tokens: Chart
    groups: list[tuple[Grouping, list[Total]]]
    max_groups: int
    saved_micro_usd: int
    limit_status: LimitStatus | None
    budgets: list[tuple[str, int, int]]
    quality: Quality | None


def collect_figures(built: Services, query: UsageQuery, principal: Principal, address: str) -> UsageFigures:
    """Read the totals and lay out the charts. Raises DatabaseUnavailable."""
    rows = query.read(built.reports, ("day", "model"))
    models = _list_most_expensive(rows, at=1)
    listed: tuple[Grouping, ...] = ("user", "tenant", "route") if principal.may("admin") else ("route",)
    bars = list_days(query.first_day, query.last_day)
    bar_of = {day: bar[0] for bar in bars for day in bar}
    return UsageFigures(
        total=add_totals((), rows),
        models=models,
        days=_sum_by(rows, lambda row: bar_of[row.group[0]])[::-1],
        cost=_draw(bars, rows, "cost_micro_usd", show_money),
        tokens=_draw(bars, rows, "tokens", show_count),
        groups=[(name, query.read(built.reports, (name,), _MAX_GROUPS)) for name in listed],
        max_groups=_MAX_GROUPS,
        saved_micro_usd=sum(
            find_cache_savings(built.prices, each.group[0], each.cached_tokens or 0, each.cache_write_tokens or 0)
            for each in models
        ),
        limit_status=None
        if principal.administers_all
        else find_limit_status(built.limits, built.rate_limiter, built.reports, principal, address),
        budgets=_list_budgets(built) if principal.administers_all else [],
        quality=_sample_quality(built, query) if principal.may("admin") and query.user is None else None,
    )


def show_money(micro_usd: float) -> str:
    """Format micro-dollars as dollars, with as many decimals as are needed."""
    usd = micro_usd / 1_000_000
    if usd == int(usd):
        return f"${usd:,.0f}"
    return f"${usd:,.2f}" if usd >= 0.1 else f"${usd:.6f}".rstrip("0")


def show_count(count: float) -> str:
    """Format a count briefly, such as 1.2 M."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:g}"


def show_used(left: Remaining) -> tuple[str, int, int, str]:
    """Return the unit of a budget, how much is used, the limit, and both as text."""
    if left.limit.micro_usd is not None:
        used = left.spent_micro_usd + left.held_micro_usd
        return "money", used, left.limit.micro_usd, f"{show_money(used)} of {show_money(left.limit.micro_usd)}"
    used, limit = left.spent_tokens + left.held_tokens, left.limit.tokens or 0
    return "tokens", used, limit, f"{used:,} of {limit:,} tokens"


def _draw(bars: list[list[str]], rows: Sequence[Total], name: str, show: Callable[[float], str]) -> Chart:
    values: Counter[tuple[str, str]] = Counter()
    of_model: Counter[str] = Counter()
    for row in rows:
        value = getattr(row, name) or 0
        values[row.group[0], row.group[1]] += value
        of_model[row.group[1]] += row.cost_micro_usd or row.tokens  # so that both charts have the same colours
    return stack_bars(bars, values, choose_series(of_model), show)


def _list_most_expensive(rows: Sequence[Total], at: int) -> list[Total]:
    """Return the totals by one column of the rows' groups, the most expensive first."""
    groups = _sum_by(rows, lambda row: row.group[at])
    return sorted(groups, key=lambda each: (-each.cost_micro_usd, -each.tokens, each.group))


def _sum_by(rows: Sequence[Total], group_of: Callable[[Total], str]) -> list[Total]:
    groups: dict[str, list[Total]] = {}
    for row in rows:
        groups.setdefault(group_of(row), []).append(row)
    return [add_totals((name,), members) for name, members in groups.items()]


def _list_budgets(built: Services) -> list[tuple[str, int, int]]:
    spent, _ = built.reports.find_spending(built.limits.window)
    budgets = ((account, used, built.limits.find_shared_budget(account)) for account, used in spent.items())
    return [(account, used, budget) for account, used, budget in budgets if budget is not None]


def _sample_quality(built: Services, query: UsageQuery) -> Quality:
    calls = built.reports.sample_calls(first_day=query.first_day, last_day=query.last_day, tenant=query.tenant)
    from statistics import quantiles  # imported only here

    first = [ms for _, ms in calls if ms is not None]
    parts = quantiles(first, n=20) if len(first) > 1 else first * 19
    return Quality(
        calls=len(calls),
        failed=sum(outcome not in _SUCCESSFUL for outcome, _ in calls),
        first_token_ms=(round(parts[9]), round(parts[18])) if parts else None,
    )
