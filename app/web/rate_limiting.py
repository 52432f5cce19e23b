"""Count each request of the API before any work is done for it, and add the RateLimit headers to its response."""

from __future__ import annotations

import math

from flask import Blueprint, Response

from app.auth import Principal
from app.auth.address import client_address
from app.limits.accounts import AccountLimits
from app.limits.rate_limiter import Quota, RateLimited, RateLimiter
from app.limits.token_rate_limit import TokenRateLimit
from app.web.guards import is_keys_only
from app.web.request_id import add_headers, current_request, current_state


def init_rate_limiting(api: Blueprint, limits: AccountLimits, limiter: RateLimiter) -> None:
    """Count every request to a blueprint that has a principal, after the guards have admitted it."""
    # Even if no setting limits anything: an account may have its own limits.
    api.before_request(lambda: _count_request(limits, limiter))
    api.after_request(_add_quota_headers)


def _count_request(limits: AccountLimits, limiter: RateLimiter) -> None:
    context = current_state()
    principal: Principal | None = context.principal
    if principal is None:
        return
    request = current_request()
    # A site's server requests tokens for all visitors. One visitor who keeps reloading a page must not use up that rate.
    is_for_all = principal.kind == "key" and is_keys_only(request)
    find_rates = limits.request_rates_of_server if is_for_all else limits.request_rates
    rates = find_rates(principal, client_address(request))
    if not rates:
        return
    try:
        context.quota = limiter.admit(rates)
    except RateLimited as refusal:
        context.quota = refusal.quota
        raise


def _add_quota_headers(response: Response) -> Response:
    """Add the RateLimit headers, for the account that has the smallest share of its quota left."""
    context = current_state()
    quota: Quota | None = context.quota
    tokens: TokenRateLimit | None = context.token_rate_limit
    if tokens is not None and tokens.quota is not None and (quota is None or tokens.quota.share < quota.share):
        quota = tokens.quota
    if quota is not None:
        # Source: https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-07.html
        headers = [
            ("RateLimit-Limit", str(quota.limit)),
            ("RateLimit-Remaining", str(quota.remaining)),
            ("RateLimit-Reset", str(max(1, math.ceil(quota.reset_s)))),
        ]
        add_headers(response, headers)
    return response
