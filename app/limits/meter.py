"""Reserve the cost of a call before each of its attempts, and settle the actual cost when the call ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.ledger.ledger import Ledger
from app.ledger.records import Hold, Limit, NewEntry, Settlement, Source
from app.limits.token_rate_limit import TokenRateLimit
from app.openai_service import Attempt, CallRecord, PendingRequest
from app.pricing.interface import PriceList
from app.token_counts import FIGURES, Usage, get_figures
from app.token_counts.estimates import estimate_usage, max_output_tokens

_NO_USAGE = Usage(prompt_tokens=0, completion_tokens=0)


class Meter:
    """The entry of one call in the ledger, and its tokens in the rate limiter."""

    def __init__(
        self,
        ledger: Ledger,
        prices: PriceList,
        entry: NewEntry,
        limits: list[Limit],
        token_rate_limit: TokenRateLimit,
        *,
        lease_s: float,
    ) -> None:
        self._ledger = ledger
        self._prices = prices
        self._entry = entry
        self._limits = limits
        self._token_rate_limit = token_rate_limit
        self._lease_s = lease_s
        self._hold: Hold | None = None
        self._bound_micro_usd: int | None = 0
        # The body of each attempt, to estimate its usage if the upstream reports none. The record holds no content.
        self._bodies: list[Mapping[str, Any]] = []

    def reserve_attempt(self, model: str, request: PendingRequest) -> None:
        """Hold the maximum cost of an attempt, and count its maximum number of tokens.

        Raises:
            RateLimited: a token rate limit is exceeded.
            BudgetExceeded: a budget has too little left.
            Unpriced: the model has no known price, and a budget is in dollars.
            DatabaseUnavailable: the ledger cannot be written.
        """
        input_tokens, output_tokens = request.billable_input(model), request.max_output_tokens
        tokens = input_tokens + output_tokens
        micro_usd = self._prices.bound_micro_usd(model, input_tokens, output_tokens)
        if self._hold is None:
            entry = replace(self._entry, model=model)
            self._token_rate_limit.reserve(tokens)
            self._hold = self._ledger.hold(
                entry, self._limits, micro_usd=micro_usd, tokens=tokens, lease_s=self._lease_s
            )
        elif request.record.attempt_log[-1].billed != "no":
            # A further round, or a retry of an attempt that may be billed as well: its cost comes on top.
            self._token_rate_limit.reserve(tokens)
            self._ledger.extend(self._hold, micro_usd=micro_usd, tokens=tokens)
        elif (extra := _compute_extra_cost(micro_usd, self._bound_micro_usd)) != 0:
            self._ledger.extend(self._hold, micro_usd=extra, tokens=0)
        self._bodies.append(request.body)
        self._bound_micro_usd = micro_usd

    def reserve_nothing(self, model: str) -> None:
        """Enter a call that costs nothing, such as a cached answer.

        Raises:
            BudgetExceeded: a budget is used up.
            DatabaseUnavailable: the ledger cannot be written.
        """
        entry = replace(self._entry, model=model)
        self._hold = self._ledger.hold(entry, self._limits, micro_usd=0, tokens=0, lease_s=self._lease_s)

    def settle(self, record: CallRecord) -> None:
        """Replace the hold with the actual cost, and release unused tokens. A call without a hold has no entry."""
        if self._hold is None:
            self._token_rate_limit.release_unused(0)
            return
        used, cost, is_estimated = self._bill(record)
        source: Source = "cached" if record.is_cached else "estimated" if is_estimated else "reported"
        settlement = Settlement(
            outcome=record.outcome,
            source=source,
            model=record.model if record.outcome == "complete" or record.received else None,
            **dict(zip(FIGURES, get_figures(used), strict=True)),
            cost_micro_usd=cost,
            price_version=self._prices.version,
            attempts=record.attempts,
            tool_calls=record.tool_calls,
            first_token_ms=None if record.first_token_ms is None else round(record.first_token_ms),
            total_ms=round(record.total_ms),
        )
        self._token_rate_limit.release_unused(settlement.charged_tokens)
        self._ledger.settle(self._hold, settlement)

    def _bill(self, record: CallRecord) -> tuple[Usage, int | None, bool]:
        """Return the usage and the cost of all attempts, and whether any of it is estimated.

        The usage of an attempt is what the upstream reported, or an estimate if it was cut off. The cost is None if
        the price of an attempt is unknown.
        """
        used: Usage | None = None
        cost: int | None = 0
        is_estimated = False
        # Not strict: the last attempt may have been refused, and then has no body.
        for attempt, body in zip(record.attempt_log, self._bodies, strict=False):
            usage = attempt.usage
            if attempt.billed == "unknown":
                is_estimated = True
                estimate = estimate_usage(body, chunks=attempt.received, ceiling=max_output_tokens(body))
                usage = estimate if usage is None else usage.complete(estimate)
            if usage is not None:
                used = usage if used is None else used + usage
                price = self._price(attempt, usage)
                cost = None if cost is None or price is None else cost + price
        if used is None and self._bodies:  # nothing was billed; without a price the cost is unknown all the same
            cost = self._price(record.attempt_log[len(self._bodies) - 1], _NO_USAGE)
        return used or _NO_USAGE, cost, is_estimated

    def _price(self, attempt: Attempt, usage: Usage) -> int | None:
        """Return the cost of an attempt, at the price of the model that served it or else of the one requested."""
        cost = None if attempt.served is None else self._prices.cost_micro_usd(attempt.served, usage)
        return self._prices.cost_micro_usd(attempt.model, usage) if cost is None else cost


def _compute_extra_cost(bound: int | None, before: int | None) -> int | None:
    """Return how much more an attempt can cost than the one before it; None if only that one has a known price."""
    if bound is None:
        return 0 if before is None else None
    return max(0, bound - (before or 0))
