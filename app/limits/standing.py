"""Tell a caller all limits that hold for it, and what is left of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.billing.ledger.reports import Remaining, Reports
from app.limits.account_names import AccountOwner
from app.limits.accounts import AccountLimits
from app.limits.rate_limiter import Quota, RateLimiter
from app.limits.token_rate_limit import TokenRateLimit


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds for one caller, by account.

    Attributes:
        budgets: what is left of money and tokens.
        requests: what is left of the request rates.
        tokens: what is left of the token rates.
        streams: how many may run at the same time.
    """

    budgets: list[Remaining]
    requests: Mapping[str, Quota]
    tokens: Mapping[str, Quota]
    streams: Mapping[str, int]


def find_standing(
    limits: AccountLimits, limiter: RateLimiter, reports: Reports, owner: AccountOwner, address: str
) -> Standing:
    """Return what holds for a caller now. Nothing is counted. Raises DatabaseUnavailable."""
    budgets = [
        limit
        for limit in limits.spending(owner, address)
        if limit.micro_usd is not None or limit.tokens is not None  # an account without a limit is only counted
    ]
    return Standing(
        reports.remaining(budgets),
        limiter.read_quotas(limits.request_rates(owner, address)),
        TokenRateLimit(limiter, limits.token_rates(owner, address)).read_quotas(),
        limits.concurrent_streams(owner, address),
    )
