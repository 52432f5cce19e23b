"""Decide which accounts a request counts for, and how much each may use. No other file names an account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from app.config import Config
from app.ledger.records import Limit
from app.limits.budgets import Budget
from app.limits.rate_limiter import Rate
from app.pricing.money import to_micro_usd
from app.runtime.periods import Window

T = TypeVar("T")

AccountKind = Literal["user", "tenant", "address"]


class AccountOwner(Protocol):
    """The principal of a request, as far as limits need it."""

    @property
    def tenant(self) -> str:
        """The site that the user belongs to."""

    @property
    def user(self) -> str:
        """The user, unique within the tenant."""

    @property
    def token_id(self) -> str | None:
        """The id of the visitor token that the request was sent with, if any."""

    @property
    def budget_micro_usd(self) -> int | None:
        """The budget of that token, if it has one."""


# How the name of an account is made from its owner and the network address that the request comes from.
_NAMES: dict[AccountKind, Callable[[AccountOwner, str], str]] = {
    "user": lambda owner, _: f"user:{owner.tenant}/{owner.user}",
    "tenant": lambda owner, _: f"tenant:{owner.tenant}",
    "address": lambda _, address: f"address:{address}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """The limits of each kind of account, parsed once at the start.

    Each method returns the limits of one request by account name. A kind without a limit is in no mapping.

    Attributes:
        requests: requests per window.
        tokens: model tokens per window.
        streams: concurrent streams.
        budgets: money or tokens per day or month. A visitor token can have a budget in addition.
    """

    requests: Mapping[AccountKind, Rate]
    tokens: Mapping[AccountKind, Rate]
    streams: Mapping[AccountKind, int]
    budgets: Mapping[AccountKind, Budget]

    def request_rates(self, owner: AccountOwner, address: str) -> dict[str, Rate]:
        """Return the request rate limit of each account."""
        return _key_by_account(self.requests, owner, address)

    def token_rates(self, owner: AccountOwner, address: str) -> dict[str, Rate]:
        """Return the token rate limit of each account."""
        return _key_by_account(self.tokens, owner, address)

    def concurrent_streams(self, owner: AccountOwner, address: str) -> dict[str, int]:
        """Return the maximum number of concurrent streams of each account."""
        return _key_by_account(self.streams, owner, address)

    def spending(self, owner: AccountOwner, address: str) -> list[Limit]:
        """Return the budget of each account that a call is charged to."""
        limits = [
            budget.limit_for(account) for account, budget in _key_by_account(self.budgets, owner, address).items()
        ]
        if owner.budget_micro_usd is not None:
            limits.append(Limit(f"token:{owner.token_id}", "month", owner.budget_micro_usd))
        return limits


def read_limits(config: Config) -> AccountLimits:
    """Read the limits from the settings, where 0 or an empty text means no limit."""
    window: Window = "day" if config.budget_window == "day" else "month"
    return AccountLimits(
        requests=_drop_none(
            {
                "user": _parse_rate(config.rate_limit),
                "tenant": _parse_rate(config.tenant_rate_limit),
                "address": _parse_rate(config.address_rate_limit),
            }
        ),
        tokens=_drop_none(
            {
                "user": _parse_rate(config.token_rate_limit),
                "tenant": _parse_rate(config.tenant_token_rate_limit),
                "address": _parse_rate(config.address_token_rate_limit),
            }
        ),
        streams=_drop_none(
            {
                "user": config.user_concurrent_streams or None,
                "tenant": config.tenant_concurrent_streams or None,
                "address": config.address_concurrent_streams or None,
            }
        ),
        budgets=_drop_none(
            {
                "user": _build_budget(window, config.user_budget_usd, config.user_budget_tokens),
                "tenant": _build_budget(window, config.tenant_budget_usd, config.tenant_budget_tokens),
            }
        ),
    )


def parse_account_kind(account: str) -> str:
    """Return the kind of account in its name: user, tenant, address or token."""
    return account.partition(":")[0]


def _key_by_account(limits: Mapping[AccountKind, T], owner: AccountOwner, address: str) -> dict[str, T]:
    return {_NAMES[kind](owner, address): limit for kind, limit in limits.items()}


def _drop_none(limits: Mapping[AccountKind, T | None]) -> dict[AccountKind, T]:
    return {kind: limit for kind, limit in limits.items() if limit is not None}


def _parse_rate(text: str) -> Rate | None:
    return Rate.parse(text) if text else None


def _build_budget(window: Window, usd: float, tokens: int) -> Budget | None:
    if not usd and not tokens:
        return None
    return Budget(window, micro_usd=to_micro_usd(usd) if usd else None, tokens=tokens or None)
