"""AccountLimits: which accounts a request counts for, and the limits of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from app.auth.address import WIDE_FACTOR, find_wide_network
from app.billing.ledger.records import Limit
from app.config import Config
from app.limits.account_names import (
    ANONYMOUS,
    NAMES,
    AccountKind,
    AccountOwner,
    OwnerKind,
    OwnKind,
    list_own_names,
    name_network,
    name_token,
    name_user_of_network,
    parse_account_kind,
)
from app.limits.budgets import Budget
from app.limits.own_limits import LIMIT_NAMES, NO_LIMIT, OwnLimits, choose
from app.limits.rate_limiter import Rate
from app.models.pricing.money import to_micro_usd
from app.runtime.periods import Window

T = TypeVar("T")

# A call is charged to at most four accounts (MAX_LIMITS in app/billing/ledger/sql_texts.py): those of the user and the tenant,
# and either those of a token and the key that issued it, or those of a wide network and of all anonymous callers.


@dataclass(frozen=True, slots=True)
class Limits(Generic[T]):
    """One type of limit, for each kind of account.

    Attributes:
        limits: the limit of each kind of account, without the kinds that have none.
        wide: the additional limits for the accounts of the wider network of an IPv6 address.
    """

    limits: Mapping[AccountKind, T]
    wide: Mapping[AccountKind, T]

    def __bool__(self) -> bool:
        """Return whether any kind of account has a limit."""
        return bool(self.limits)

    def of(self, owner: AccountOwner, address: str) -> dict[str, T]:
        """Return the limits of one request by account name."""
        if not self.limits:
            return {}
        limits = {NAMES[kind](owner, address): limit for kind, limit in self.limits.items()}
        network = find_wide_network(address)
        if network is not None:
            if "address" in self.wide:
                limits[name_network(network)] = self.wide["address"]
            if "user" in self.wide and not owner.is_named:
                limits[name_user_of_network(owner.tenant, network)] = self.wide["user"]
        return limits


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """The limits of each kind of account, parsed once at the start.

    Attributes:
        requests: requests per window.
        tokens: model tokens per window.
        streams: concurrent streams.
        shared_streams: for each kind of owner, the maximum share of the server's streams for accounts without another limit.
        budgets: money or tokens per day or month. A visitor token can have an additional budget.
        anonymous: the budget that all callers without a credential share, if there is one.
        window: the window of all budgets.
        find_own: returns the limits of single accounts that override these, by account.
    """

    requests: Limits[Rate]
    tokens: Limits[Rate]
    streams: Limits[int]
    shared_streams: Mapping[OwnerKind, Limits[int]]
    budgets: Limits[Budget]
    anonymous: Budget | None
    window: Window
    find_own: Callable[[], Mapping[str, OwnLimits]]

    def request_rates(self, owner: AccountOwner, address: str) -> dict[str, Rate]:
        """Return the request rate limit of each account."""
        return self._with_own(self.requests.of(owner, address), owner, lambda own: own.request_rate)

    def request_rates_of_server(self, owner: AccountOwner, address: str) -> dict[str, Rate]:
        """Return the rates for requests that a site's server sends for its visitors: only those of tenant and key."""
        rates = self.request_rates(owner, address)
        return {
            account: rate for account, rate in rates.items() if parse_account_kind(account) in ("tenant", "key")
        }

    def token_rates(self, owner: AccountOwner, address: str) -> dict[str, Rate]:
        """Return the token rate limit of each account."""
        return self._with_own(self.tokens.of(owner, address), owner, lambda own: own.token_rate)

    def concurrent_streams(self, owner: AccountOwner, address: str) -> dict[str, int]:
        """Return the maximum number of concurrent streams of each account."""
        streams = self.streams.of(owner, address) | self.shared_streams[owner.kind].of(owner, address)
        return self._with_own(streams, owner, lambda own: own.concurrent_streams)

    def spending(self, owner: AccountOwner, address: str) -> list[Limit]:
        """Return the budget of each account that a call is charged to. Accounts without a limit are counted as well."""
        budgets = self.budgets.of(owner, address)
        if found := self.find_own():
            for account in list_own_names(owner):
                own = found.get(account)
                if own is not None and own.has_budget:
                    budgets[account] = _replace_budget(budgets.get(account), own, self.window)
        limits = [budget.limit_for(account) for account, budget in budgets.items()] if budgets else []
        if owner.budget_micro_usd is not None:
            limits.append(Limit(name_token(owner.token_id), "month", owner.budget_micro_usd))
        if self.anonymous is not None and not owner.is_named:
            limits.append(self.anonymous.limit_for(ANONYMOUS))
        return limits

    def describe_defaults(self, kind: OwnKind) -> OwnLimits:
        """Return the limits of an account of this kind that has none of its own."""
        if kind == "key":
            return OwnLimits.parse(dict.fromkeys(LIMIT_NAMES, NO_LIMIT))
        streams = self.streams.limits.get(kind) or self.shared_streams["visitor"].limits.get(kind)
        budget = self.budgets.limits.get(kind) or Budget(self.window)
        return OwnLimits(
            request_rate=self.requests.limits.get(kind, NO_LIMIT),
            token_rate=self.tokens.limits.get(kind, NO_LIMIT),
            concurrent_streams=NO_LIMIT if streams is None else streams,
            budget_usd=NO_LIMIT if budget.micro_usd is None else budget.micro_usd,
            budget_tokens=NO_LIMIT if budget.tokens is None else budget.tokens,
        )

    def has_shared_budgets(self) -> bool:
        """Return whether a tenant, or all callers without a credential, may have a budget in dollars."""
        return "tenant" in self.budgets.limits or self.anonymous is not None or bool(self.find_own())

    def find_shared_budget(self, account: str) -> int | None:
        """Return the dollar budget of a tenant, or of all anonymous callers, in micro-dollars; None if there is none."""
        budget = self.anonymous if account == ANONYMOUS else self.budgets.limits.get("tenant")
        default = None if budget is None else budget.micro_usd
        own = self.find_own().get(account)
        return default if own is None else choose(own.budget_usd, default)

    def _with_own(
        self,
        limits: dict[str, T],
        owner: AccountOwner,
        pick: Callable[[OwnLimits], T | Literal["none"] | None],
    ) -> dict[str, T]:
        """Replace limits with those that single accounts have of their own."""
        found = self.find_own()
        if not found:
            return limits
        for account in list_own_names(owner):
            own = found.get(account)
            limit = None if own is None else pick(own)
            if limit == NO_LIMIT:
                limits.pop(account, None)
            elif limit is not None:
                limits[account] = limit
        return limits


def read_limits(config: Config, find_own: Callable[[], Mapping[str, OwnLimits]] = dict) -> AccountLimits:
    """Read the limits from the settings. 0 or an empty text means no limit; for streams, it means a share of all.

    Args:
        config: the settings.
        find_own: returns the limits of single accounts that override the settings, by account.
    """
    window: Window = "day" if config.budget_window == "day" else "month"
    return AccountLimits(
        requests=_read_kinds(
            _widen_rate,
            user=_parse_rate(config.rate_limit),
            tenant=_parse_rate(config.tenant_rate_limit),
            address=_parse_rate(config.address_rate_limit),
        ),
        tokens=_read_kinds(
            _widen_rate,
            user=_parse_rate(config.token_rate_limit),
            tenant=_parse_rate(config.tenant_token_rate_limit),
            address=_parse_rate(config.address_token_rate_limit),
        ),
        streams=_read_kinds(
            lambda streams: WIDE_FACTOR * streams,
            user=config.user_concurrent_streams or None,
            tenant=config.tenant_concurrent_streams or None,
            address=config.address_concurrent_streams or None,
        ),
        shared_streams=_read_shared_streams(config),
        budgets=_read_kinds(
            lambda budget: budget.times(WIDE_FACTOR),
            user=_build_budget(window, config.user_budget_usd, config.user_budget_tokens),
            tenant=_build_budget(window, config.tenant_budget_usd, config.tenant_budget_tokens),
        ),
        anonymous=_build_budget(window, config.anonymous_budget_usd, 0),
        window=window,
        find_own=find_own,
    )


def _replace_budget(default: Budget | None, own: OwnLimits, window: Window) -> Budget:
    default = default or Budget(window)
    return Budget(
        window,
        micro_usd=choose(own.budget_usd, default.micro_usd),
        tokens=choose(own.budget_tokens, default.tokens),
    )


def _read_kinds(
    widen: Callable[[T], T], *, user: T | None = None, tenant: T | None = None, address: T | None = None
) -> Limits[T]:
    kinds: dict[AccountKind, T | None] = {"user": user, "tenant": tenant, "address": address}
    limits = {kind: limit for kind, limit in kinds.items() if limit is not None}
    return Limits(limits, {kind: widen(limit) for kind, limit in limits.items() if kind != "tenant"})


def _read_shared_streams(config: Config) -> dict[OwnerKind, Limits[int]]:
    share = math.ceil(config.max_stream_share * config.max_concurrent_streams)
    is_off = share >= config.max_concurrent_streams
    user = None if is_off or config.user_concurrent_streams else share
    address = None if is_off or config.address_concurrent_streams else share

    def copy(streams: int) -> int:
        return streams  # the share is the maximum for a wide network too

    by_address = _read_kinds(copy, address=address)
    return {
        # No limit by address: a site's own server sends the requests of all its users from one address.
        "key": _read_kinds(copy, user=user),
        "admin": _read_kinds(copy, user=user),
        "visitor": _read_kinds(copy, user=user, address=address),
        # Here the user is the address.
        "session": by_address,
        "anonymous": by_address,
    }


def _widen_rate(rate: Rate) -> Rate:
    return Rate(WIDE_FACTOR * rate.amount, rate.window_s)


def _parse_rate(text: str) -> Rate | None:
    return Rate.parse(text) if text else None


def _build_budget(window: Window, usd: float, tokens: int) -> Budget | None:
    if not usd and not tokens:
        return None
    return Budget(window, micro_usd=to_micro_usd(usd) if usd else None, tokens=tokens or None)
