"""Admission: each request of the API is counted before anything is done for it, and told how many it has left."""

from __future__ import annotations

import math

from flask import Blueprint, Response, g, request

from app.auth import Principal
from app.auth.address import client_address
from app.limits.accounts import AccountLimits
from app.limits.rate_limiter import Quota, RateLimited, RateLimiter
from app.limits.token_rate_limit import TokenRateLimit


def init_rate_limiting(api: Blueprint, limits: AccountLimits, limiter: RateLimiter) -> None:
    """Count every request below a blueprint that has a principal, after its guards have let it in."""
    if limits.requests:
        api.before_request(lambda: _admit(limits, limiter))
    if limits.requests or limits.tokens:
        api.after_request(_tell)


def _admit(limits: AccountLimits, limiter: RateLimiter) -> None:
    context = g._get_current_object()
    principal: Principal | None = context.get("principal")
    if principal is None:
        return
    try:
        context.quota = limiter.admit(limits.request_rates(principal, client_address(request)))
    except RateLimited as refusal:
        context.quota = refusal.quota
        raise


def _tell(response: Response) -> Response:
    """Tell what is left for the account that has least."""
    context = g._get_current_object()
    quota: Quota | None = context.get("quota")
    tokens: TokenRateLimit | None = context.get("token_rates")
    if tokens is not None and tokens.quota is not None and (quota is None or tokens.quota.share < quota.share):
        quota = tokens.quota
    if quota is not None:
        # Source: https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-07.html
        add = response.headers.add  # half the work of assigning: nobody else has set them
        add("RateLimit-Limit", str(quota.limit))
        add("RateLimit-Remaining", str(quota.remaining))
        add("RateLimit-Reset", str(max(1, math.ceil(quota.reset_s))))
    return response
