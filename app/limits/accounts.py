"""AccountLimits: which accounts a request counts for, and how much each may use. No other file names an account."""

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
    """The principal of a request."""

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
        """What may be spent with that token, if it says."""


# The name of an account, from its owner and the network address that the request comes from.
_NAMES: dict[AccountKind, Callable[[AccountOwner, str], str]] = {
    "user": lambda owner, _: f"user:{owner.tenant}/{owner.user}",
    "tenant": lambda owner, _: f"tenant:{owner.tenant}",
    "address": lambda _, address: f"address:{address}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """The limits of each kind of account, parsed once at the start.

    Each of its methods names the accounts of one request. A kind without a limit is in none of the mappings.

    Attributes:
        requests: how many requests per window.
        tokens: how many tokens of the model per window.
        streams: how many streams at once.
        budgets: how much per day or month. A visitor token can have one of its own besides.
    """

    requests: Mapping[AccountKind, Rate]
    tokens: Mapping[AccountKind, Rate]
    streams: Mapping[AccountKind, int]
    budgets: Mapping[AccountKind, Budget]

    def request_rates(self, owner: AccountOwner, address: str) -> dict[str, Rate]:
        """Return the rate of requests of each account."""
        return _by_account(self.requests, owner, address)

    def token_rates(self, owner: AccountOwner, address: str) -> dict[str, Rate]:
        """Return the rate of tokens of each account."""
        return _by_account(self.tokens, owner, address)

    def concurrent_streams(self, owner: AccountOwner, address: str) -> dict[str, int]:
        """Return how many streams each account may have at once."""
        return _by_account(self.streams, owner, address)

    def spending(self, owner: AccountOwner, address: str) -> list[Limit]:
        """Return what may be spent from each account that a call is charged to."""
        limits = [budget.of(account) for account, budget in _by_account(self.budgets, owner, address).items()]
        if owner.budget_micro_usd is not None:
            limits.append(Limit(f"token:{owner.token_id}", "month", owner.budget_micro_usd))
        return limits


def read_limits(config: Config) -> AccountLimits:
    """Read the limits from the settings, in which 0 or an empty text is no limit."""
    window: Window = "day" if config.budget_window == "day" else "month"
    return AccountLimits(
        requests=_without_none(
            {
                "user": _rate(config.rate_limit),
                "tenant": _rate(config.tenant_rate_limit),
                "address": _rate(config.address_rate_limit),
            }
        ),
        tokens=_without_none(
            {
                "user": _rate(config.token_rate_limit),
                "tenant": _rate(config.tenant_token_rate_limit),
                "address": _rate(config.address_token_rate_limit),
            }
        ),
        streams=_without_none(
            {
                "user": config.user_concurrent_streams or None,
                "tenant": config.tenant_concurrent_streams or None,
                "address": config.address_concurrent_streams or None,
            }
        ),
        budgets=_without_none(
            {
                "user": _budget(window, config.user_budget_usd, config.user_budget_tokens),
                "tenant": _budget(window, config.tenant_budget_usd, config.tenant_budget_tokens),
            }
        ),
    )


def kind_of(account: str) -> str:
    """Return the kind in an account's name: user, tenant, address or token."""
    return account.partition(":")[0]


def _by_account(limits: Mapping[AccountKind, T], owner: AccountOwner, address: str) -> dict[str, T]:
    return {_NAMES[kind](owner, address): limit for kind, limit in limits.items()}


def _without_none(limits: Mapping[AccountKind, T | None]) -> dict[AccountKind, T]:
    return {kind: limit for kind, limit in limits.items() if limit is not None}


def _rate(text: str) -> Rate | None:
    return Rate.parse(text) if text else None


def _budget(window: Window, usd: float, tokens: int) -> Budget | None:
    if not usd and not tokens:
        return None
    return Budget(window, micro_usd=to_micro_usd(usd) if usd else None, tokens=tokens or None)
