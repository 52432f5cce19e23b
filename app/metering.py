"""Meter: what a call may cost is held before each of its attempts, and what it did cost is settled at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import g, request

from app import extensions
from app.admission import token_rates_of
from app.budgets import limits_of
from app.ledger.estimate import estimated_usage, input_bound, input_estimate
from app.ledger.ledger import Ledger
from app.ledger.price_list import PriceList
from app.ledger.records import Hold, Limit, NewEntry, Settlement
from app.openai_service import CallRecord, UpstreamError
from app.token_rates import TokenRates
from app.visitor import Visitor, current_visitor

# How long after its deadline a call that was never settled counts as dead: longer than a last write to a visitor
# who does not read may take (server/gevent_worker.py).
_LEASE_GRACE_S = 40.0


@dataclass(frozen=True, slots=True)
class MeteredCaller:
    """A visitor whose calls are in the ledger."""

    visitor: Visitor
    meter: Meter
    max_tokens: int | None

    def watch(self) -> None:
        self.visitor.watch()

    def charge(self, model: str, body: Mapping[str, Any], after: UpstreamError | None) -> None:
        self.meter.charge(model, body, after)


def current_caller() -> MeteredCaller:
    """The one who sends the current request."""
    principal, config = g.principal, extensions.config()
    entry = NewEntry(
        request_id=g.request_id,
        tenant=principal.tenant,
        user=principal.user,
        token_id=principal.token_id,
        route=request.path,
        operation=str(request.blueprint).rpartition(".")[2],
        model="",
    )
    meter = Meter(
        extensions.ledger(),
        extensions.prices(),
        entry,
        limits_of(principal, config),
        token_rates_of(principal, config, extensions.rate_limiter()),
        lease_s=config.request_timeout_s + _LEASE_GRACE_S,
    )
    return MeteredCaller(current_visitor(), meter, principal.max_tokens)


def settle_call(record: CallRecord) -> None:
    """The listener that settles each call."""
    if isinstance(record.caller, MeteredCaller):
        record.caller.meter.settle(record)


class Meter:
    """The ledger's entry of one call."""

    def __init__(
        self,
        ledger: Ledger,
        prices: PriceList,
        entry: NewEntry,
        limits: list[Limit],
        token_rates: TokenRates,
        *,
        lease_s: float,
    ) -> None:
        self._ledger = ledger
        self._prices = prices
        self._entry = entry
        self._limits = limits
        self._token_rates = token_rates
        self._lease_s = lease_s
        self._hold: Hold | None = None
        self._model = ""
        self._body: Mapping[str, Any] = {}
        self._bound_micro_usd: int | None = 0
        # The model of each attempt that nobody will ever tell the usage of, and about how long its input was.
        self._lost: list[tuple[str, int]] = []

    def charge(self, model: str, body: Mapping[str, Any], after: UpstreamError | None) -> None:
        """Hold the most that an attempt can cost.

        Raises:
            RateLimited, BudgetExceeded, Unpriced, StoreUnavailable: it may not be made.
        """
        input_tokens, output_tokens = input_bound(body, model), _ceiling(body)
        tokens = input_tokens + output_tokens
        micro_usd = self._prices.bound_micro_usd(model, input_tokens, output_tokens)
        if self._hold is None:
            entry = replace(self._entry, model=model)
            self._token_rates.take(tokens)
            self._hold = self._ledger.hold(
                entry, self._limits, micro_usd=micro_usd, tokens=tokens, lease_s=self._lease_s
            )
        elif after is None or after.may_be_billed:
            # A repair of an answer, or a further attempt beside one that may be billed as well.
            self._token_rates.take(tokens)
            self._ledger.extend(self._hold, micro_usd=micro_usd, tokens=tokens)
            if after is not None:
                self._lost.append((self._model, input_estimate(body)))
        elif (dearer := _difference(micro_usd, self._bound_micro_usd)) != 0:
            self._ledger.extend(self._hold, micro_usd=dearer, tokens=0)
        self._model, self._body, self._bound_micro_usd = model, body, micro_usd

    def settle(self, record: CallRecord) -> None:
        """Write down how the call ended. One that was never admitted leaves nothing."""
        if self._hold is None:
            self._token_rates.settle(0)
            return
        usage, is_reported = self._usage(record)
        # A repair that nothing came of, after an answer whose usage is known.
        if is_reported and record.may_be_billed:
            self._lost.append((self._model, input_estimate(self._body)))
        costs = [self._prices.cost_micro_usd(record.model, usage)]
        costs += [self._prices.cost_micro_usd(model, {"prompt_tokens": tokens}) for model, tokens in self._lost]
        prompt_tokens = _count(usage, "prompt_tokens")
        if self._lost:
            prompt_tokens = (prompt_tokens or 0) + sum(tokens for _, tokens in self._lost)
        settlement = Settlement(
            outcome=record.outcome,
            source="reported" if is_reported and not self._lost else "estimated",
            model=record.model if record.outcome == "complete" or record.received else None,
            prompt_tokens=prompt_tokens,
            cached_tokens=_count(usage, "prompt_tokens_details", "cached_tokens"),
            completion_tokens=_count(usage, "completion_tokens"),
            reasoning_tokens=_count(usage, "completion_tokens_details", "reasoning_tokens"),
            cost_micro_usd=None if None in costs else sum(cost or 0 for cost in costs),
            price_version=self._prices.version,
            attempts=record.attempts,
            first_token_ms=None if record.first_token_ms is None else round(record.first_token_ms),
            total_ms=round(record.total_ms),
        )
        self._token_rates.settle(settlement.charged_tokens)
        self._ledger.settle(self._hold, settlement)

    def _usage(self, record: CallRecord) -> tuple[Mapping[str, Any], bool]:
        """The tokens of all attempts but the lost ones, and whether the upstream has told them."""
        if record.usage is not None and _count(record.usage, "prompt_tokens") is not None:
            return record.usage, True
        if record.usage is None and not record.may_be_billed:
            return {"prompt_tokens": 0, "completion_tokens": 0}, True
        ceiling = _ceiling(self._body) or None
        return estimated_usage(self._body, chunks=record.received, ceiling=ceiling), False


def _ceiling(body: Mapping[str, Any]) -> int:
    """The most tokens that the upstream may write: none for embeddings."""
    return int(body.get("max_completion_tokens") or body.get("max_tokens") or 0)


def _difference(bound: int | None, before: int | None) -> int | None:
    """How much more an attempt can cost than the one before it; None where only of that one a price is known."""
    if bound is None:
        return 0 if before is None else None
    return max(0, bound - (before or 0))


def _count(usage: Mapping[str, Any], *path: str) -> int | None:
    value: Any = usage
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
