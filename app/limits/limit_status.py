"""LimitStatus: all limits that apply to a caller, and what remains of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.billing.ledger.reports import Remaining, Reports
from app.limits.account_names import AccountOwner
from app.limits.accounts import AccountLimits
from app.limits.rate_limiter import Quota, RateLimiter
from app.limits.token_rate_limit import TokenRateLimit


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """The limits that apply to one caller, by account.

    Attributes:
        budgets: the remaining budgets of money and tokens.
        requests: the remaining quotas of requests.
        tokens: the remaining quotas of tokens.
        streams: the maximum numbers of concurrent streams.
    """

    budgets: list[Remaining]
    requests: Mapping[str, Quota]
    tokens: Mapping[str, Quota]
    streams: Mapping[str, int]


def find_limit_status(
    limits: AccountLimits, limiter: RateLimiter, reports: Reports, owner: AccountOwner, address: str
) -> LimitStatus:
    """Return the limits that apply to a caller now, without counting anything. Raises DatabaseUnavailable."""
    budgets = [
        limit
        for limit in limits.spending(owner, address)
        if limit.micro_usd is not None or limit.tokens is not None  # an account without a limit is only counted
    ]
    return LimitStatus(
        reports.remaining(budgets),
        limiter.read_quotas(limits.request_rates(owner, address)),
        TokenRateLimit(limiter, limits.token_rates(owner, address)).read_quotas(),
        limits.concurrent_streams(owner, address),
    )
