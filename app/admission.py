"""Admission: each request of the API is counted before anything is done for it, and told how many it has left."""

from __future__ import annotations

import math

from flask import Blueprint, Response, g, request

from app.auth import Principal
from app.auth.address import address_of
from app.config import Config
from app.rate_limits import Quota, Rate, RateLimited, RateLimiter
from app.token_rates import TokenRates


def init_admission(api: Blueprint, config: Config, limiter: RateLimiter) -> None:
    """Count every request below a blueprint that has a principal, after its guards have let it in."""
    rates = rates_of(user=config.rate_limit, tenant=config.tenant_rate_limit, address=config.address_rate_limit)

    def admit() -> None:
        principal: Principal | None = g.get("principal")
        if principal is not None and rates:
            accounts = accounts_of(principal)
            try:
                g.quota = limiter.admit({accounts[whose]: rate for whose, rate in rates.items()})
            except RateLimited as refusal:
                g.quota = refusal.quota
                raise

    def tell(response: Response) -> Response:
        tokens: TokenRates | None = g.get("token_rates")
        both: list[Quota | None] = [g.get("quota"), tokens.quota if tokens is not None else None]
        if quotas := [quota for quota in both if quota is not None]:
            quota = min(quotas, key=lambda quota: quota.remaining / quota.limit)
            # Source: https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-07.html
            response.headers["RateLimit-Limit"] = str(quota.limit)
            response.headers["RateLimit-Remaining"] = str(quota.remaining)
            response.headers["RateLimit-Reset"] = str(max(1, math.ceil(quota.reset_s)))
        return response

    api.before_request(admit)
    api.after_request(tell)


def rates_of(**texts: str) -> dict[str, Rate]:
    """The rates of a user, a tenant and an address, where they have any."""
    return {whose: Rate.parse(text) for whose, text in texts.items() if text}


def token_rates_of(principal: Principal, config: Config, limiter: RateLimiter) -> TokenRates:
    """What limits the tokens of the current request, and tells at its end how many are left."""
    rates = rates_of(
        user=config.token_rate_limit,
        tenant=config.tenant_token_rate_limit,
        address=config.address_token_rate_limit,
    )
    accounts = accounts_of(principal) if rates else {}
    g.token_rates = token_rates = TokenRates(limiter, {accounts[whose]: rate for whose, rate in rates.items()})
    return token_rates


def accounts_of(principal: Principal) -> dict[str, str]:
    """What the current request counts for: its user, its tenant, its network address."""
    return {
        "user": f"user:{principal.tenant}/{principal.user}",
        "tenant": f"tenant:{principal.tenant}",
        "address": f"address:{address_of(request)}",
    }


def streams_of(principal: Principal, config: Config) -> dict[str, int]:
    """What a stream of the current request counts for, and how many each may have."""
    most = {
        "user": config.user_concurrent_streams,
        "tenant": config.tenant_concurrent_streams,
        "address": config.address_concurrent_streams,
    }
    return {key: most[whose] for whose, key in accounts_of(principal).items() if most[whose]}
