"""Admission: each request of the API is counted before anything is done for it, and told how many it has left."""

from __future__ import annotations

import math

from flask import Blueprint, Response, g, request

from app.auth import Principal
from app.auth.address import address_of
from app.limits.accounts import AccountLimits
from app.rate_limits import Quota, RateLimited, RateLimiter
from app.token_rates import TokenRates


def init_admission(api: Blueprint, limits: AccountLimits, limiter: RateLimiter) -> None:
    """Count every request below a blueprint that has a principal, after its guards have let it in."""
    if limits.requests:
        api.before_request(lambda: _admit(limits, limiter))
    if limits.requests or limits.tokens:
        api.after_request(_tell)


def _admit(limits: AccountLimits, limiter: RateLimiter) -> None:
    principal: Principal | None = g.get("principal")
    if principal is None:
        return
    try:
        g.quota = limiter.admit(limits.request_rates(principal, address_of(request)))
    except RateLimited as refusal:
        g.quota = refusal.quota
        raise


def _tell(response: Response) -> Response:
    """Tell what is left for the account that has least."""
    tokens: TokenRates | None = g.get("token_rates")
    both: list[Quota | None] = [g.get("quota"), tokens.quota if tokens is not None else None]
    if quotas := [quota for quota in both if quota is not None]:
        quota = min(quotas, key=lambda quota: quota.remaining / quota.limit)
        # Source: https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-07.html
        response.headers["RateLimit-Limit"] = str(quota.limit)
        response.headers["RateLimit-Remaining"] = str(quota.remaining)
        response.headers["RateLimit-Reset"] = str(max(1, math.ceil(quota.reset_s)))
    return response
