"""Parse the query of GET /api/usage, and build its response."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, get_args

from pydantic.alias_generators import to_camel

from app.auth.principal import Principal
from app.billing.ledger.records import SUMS
from app.billing.ledger.reports import Remaining, Reports, Total, add_totals
from app.billing.ledger.totals_query import Grouping
from app.limits.account_names import parse_account_kind
from app.limits.limit_status import LimitStatus
from app.limits.rate_limiter import Quota
from app.models.pricing.interface import PriceList
from app.models.pricing.savings import find_cache_savings
from app.problems import Forbidden, InvalidRequest
from app.runtime.times import format_iso
from app.runtime.turns import in_turns
from app.safety.events import SafetyEvent

_FORMATS = ("json", "csv")
_DEFAULT_BY: tuple[Grouping, ...] = ("day", "model")
_SUMS = {name: to_camel(name) for name in SUMS}
_SAVED = "cacheSavedMicroUsd"

Savings = Mapping[tuple[str, ...], int]
"""The savings by the upstream's prompt cache in micro-dollars, by the group of a row."""


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """A validated query. Days are inclusive and in UTC. A user or tenant of None means all."""

    first_day: str
    last_day: str
    by: tuple[Grouping, ...]
    user: str | None
    tenant: str | None
    is_csv: bool

    def read(self, reports: Reports, by: Sequence[Grouping], most: int | None = None) -> list[Total]:
        """Return the totals of the query's user, tenant and days, by other groups. Raises DatabaseUnavailable."""
        return reports.totals(
            by,
            tenant=self.tenant,
            user=self.user,
            first_day=self.first_day,
            last_day=self.last_day,
            max_groups=most,
        )


def parse_usage_query(args: Mapping[str, str], principal: Principal) -> UsageQuery:
    """Parse the query. Users see their own usage; admins see that of their tenant, or of all tenants.

    Raises:
        InvalidRequest: a parameter is not valid.
        Forbidden: the caller may not see the tenant.
    """
    is_admin = principal.may("admin")
    known = ("from", "to", "by", "format", *(("user", "tenant") if is_admin else ()))
    for name in args:
        if name not in known:
            raise InvalidRequest("is not a parameter of this route.", field=name[:50])
        if "\0" in args[name]:
            raise InvalidRequest("must not contain the character NUL.", field=name)
    tenant = args.get("tenant", None if principal.administers_all else principal.tenant)
    if not principal.administers_all and tenant != principal.tenant:
        raise Forbidden("this key can only see its own tenant.", field="tenant")
    today = datetime.now(UTC).date()
    first = _parse_day(args, "from", today.replace(day=1))
    last = _parse_day(args, "to", today)
    if last < first:
        raise InvalidRequest("must not be before from.", field="to")
    form = args.get("format", "json")
    if form not in _FORMATS:
        raise InvalidRequest("must be json or csv.", field="format")
    return UsageQuery(
        first.isoformat(),
        last.isoformat(),
        _parse_groupings(args.get("by")),
        user=args.get("user") if is_admin else principal.user,
        tenant=tenant,
        is_csv=form == "csv",
    )


def read_rows(query: UsageQuery, reports: Reports, prices: PriceList) -> tuple[list[Total], Savings]:
    """Return the rows of a query, and the savings by the prompt cache in each. Raises DatabaseUnavailable."""
    # Savings depend on the model. Adding up the rows of the models is faster than a second query.
    by_model = query.read(reports, query.by if "model" in query.by else (*query.by, "model"))
    size, model_at = len(query.by), (*query.by, "model").index("model")
    savings: Counter[tuple[str, ...]] = Counter()
    parts: dict[tuple[str, ...], list[Total]] = {} if query.by else {(): []}
    for row in in_turns(by_model):
        group = row.group[:size]
        cached, written = row.cached_tokens or 0, row.cache_write_tokens or 0
        savings[group] += find_cache_savings(prices, row.group[model_at], cached, written)
        parts.setdefault(group, []).append(row)
    if "model" in query.by:
        return by_model, savings
    return [add_totals(group, members) for group, members in in_turns(parts.items())], savings


def build_usage_response(
    query: UsageQuery, rows: Sequence[Total], savings: Savings, limit_status: LimitStatus
) -> dict[str, Any]:
    """Return {"from", "to", "totals", "rows": [...], "limits": [...], "rates": [...], "streams": [...]}."""
    return {
        "from": query.first_day,
        "to": query.last_day,
        "totals": _format_sums(add_totals((), rows)) | {_SAVED: sum(savings.values())},
        "rows": [
            dict(zip(query.by, row.group, strict=True)) | _format_sums(row) | {_SAVED: savings[row.group]}
            for row in in_turns(rows)
        ],
        "limits": [_format_limit(left) for left in limit_status.budgets],
        "rates": [
            *(_format_quota(account, "requests", quota) for account, quota in limit_status.requests.items()),
            *(_format_quota(account, "tokens", quota) for account, quota in limit_status.tokens.items()),
        ],
        "streams": [
            {"of": parse_account_kind(account), "limit": limit} for account, limit in limit_status.streams.items()
        ],
    }


def format_safety_event(event: SafetyEvent) -> dict[str, Any]:
    """Return {"at", "type", "tenant", "user", "category", "caseId", "action"}."""
    return {
        "at": format_iso(event.received_at // 1000),
        "type": event.kind,
        "tenant": event.tenant,
        "user": event.user_id,
        "category": event.category,
        "caseId": event.case_id,
        "action": event.action,
    }


def write_usage_csv(query: UsageQuery, rows: Sequence[Total], savings: Savings) -> str:
    """Return one CSV line per row, with the field names of the JSON response."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*query.by, *_SUMS.values(), _SAVED])
    writer.writerows(
        [*map(_escape_cell, row.group), *_format_sums(row).values(), savings[row.group]] for row in in_turns(rows)
    )
    return text.getvalue()


def _escape_cell(cell: str) -> str:
    # A spreadsheet would run it as a formula, and user names are not under our control.
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@") else cell


def _format_sums(total: Total) -> dict[str, int]:
    return {shown: getattr(total, name) for name, shown in _SUMS.items()}


def _format_limit(left: Remaining) -> dict[str, Any]:
    limit = left.limit
    return {
        "of": parse_account_kind(limit.key),
        "window": limit.window,
        "microUsd": limit.micro_usd,
        "tokens": limit.tokens,
        "leftMicroUsd": left.micro_usd,
        "leftTokens": left.tokens,
        "resetsInS": left.resets_in_s,
    }


def _format_quota(account: str, counted: str, quota: Quota) -> dict[str, Any]:
    return {
        "of": parse_account_kind(account),
        "counts": counted,
        "limit": quota.limit,
        "windowS": quota.window_s,
        "left": quota.remaining,
        "resetsInS": max(1, math.ceil(quota.reset_s)),
    }


def _parse_day(args: Mapping[str, str], name: str, default: date) -> date:
    text = args.get(name)
    if text is None:
        return default
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or len(text) != 10:
        raise InvalidRequest("must be a day such as 2026-11-20.", field=name)
    return day


def _parse_groupings(text: str | None) -> tuple[Grouping, ...]:
    if text is None:
        return _DEFAULT_BY
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    known = get_args(Grouping)
    for name in names:
        if name not in known:
            raise InvalidRequest(f"must be a comma-separated list of some of {', '.join(known)}.", field="by")
    return names  # type: ignore[return-value]
