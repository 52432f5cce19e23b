"""Meter: what a call may cost is held before each of its attempts, and what it did cost is settled at its end."""

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

_NOTHING = Usage(prompt_tokens=0, completion_tokens=0)


class Meter:
    """The ledger's entry of one call."""

    def __init__(
        self,
        ledger: Ledger,
        prices: PriceList,
        entry: NewEntry,
        limits: list[Limit],
        token_rates: TokenRateLimit,
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
        self._bound_micro_usd: int | None = 0
        # Of each attempt, since what it has used may have to be estimated; the record holds no content.
        self._bodies: list[Mapping[str, Any]] = []

    def reserve_attempt(self, model: str, request: PendingRequest) -> None:
        """Hold the most that an attempt can cost.

        Raises:
            RateLimited, BudgetExceeded, Unpriced, DatabaseUnavailable: it may not be made.
        """
        input_tokens, output_tokens = request.input_bound(model), request.max_output_tokens
        tokens = input_tokens + output_tokens
        micro_usd = self._prices.bound_micro_usd(model, input_tokens, output_tokens)
        if self._hold is None:
            entry = replace(self._entry, model=model)
            self._token_rates.reserve(tokens)
            self._hold = self._ledger.hold(
                entry, self._limits, micro_usd=micro_usd, tokens=tokens, lease_s=self._lease_s
            )
        elif request.record.attempt_log[-1].billed != "no":
            # A further answer, or a further attempt beside one that may be billed as well.
            self._token_rates.reserve(tokens)
            self._ledger.extend(self._hold, micro_usd=micro_usd, tokens=tokens)
        elif (dearer := _extra_cost(micro_usd, self._bound_micro_usd)) != 0:
            self._ledger.extend(self._hold, micro_usd=dearer, tokens=0)
        self._bodies.append(request.body)
        self._bound_micro_usd = micro_usd

    def reserve_nothing(self, model: str) -> None:
        """Have an entry of what costs nothing.

        Raises:
            BudgetExceeded, DatabaseUnavailable: there cannot be one.
        """
        entry = replace(self._entry, model=model)
        self._hold = self._ledger.hold(entry, self._limits, micro_usd=0, tokens=0, lease_s=self._lease_s)

    def settle(self, record: CallRecord) -> None:
        """Write down how the call ended. One that was never admitted leaves nothing."""
        if self._hold is None:
            self._token_rates.release_unused(0)
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
        self._token_rates.release_unused(settlement.charged_tokens)
        self._ledger.settle(self._hold, settlement)

    def _bill(self, record: CallRecord) -> tuple[Usage, int | None, bool]:
        """Return what all attempts have used and cost, and whether that is estimated.

        Of each it is what the upstream told, or about as much where it never will. The cost is None where one has no
        known price.
        """
        used: Usage | None = None
        cost: int | None = 0
        is_estimated = False
        for attempt, body in zip(record.attempt_log, self._bodies, strict=False):  # the last one may be refused
            usage = attempt.usage
            if attempt.billed == "unknown":
                is_estimated = True
                usage = estimate_usage(body, chunks=attempt.received, ceiling=max_output_tokens(body))
            if usage is not None:
                used = usage if used is None else used + usage
                price = self._cost(attempt, usage)
                cost = None if cost is None or price is None else cost + price
        if used is None and self._bodies:  # nothing was billed, which is no known cost either without a price
            cost = self._cost(record.attempt_log[len(self._bodies) - 1], _NOTHING)
        return used or _NOTHING, cost, is_estimated

    def _cost(self, attempt: Attempt, usage: Usage) -> int | None:
        """Return what an attempt cost, by the price of the model asked where none is known of the one that served."""
        cost = None if attempt.served is None else self._prices.cost_micro_usd(attempt.served, usage)
        return self._prices.cost_micro_usd(attempt.model, usage) if cost is None else cost


def _extra_cost(bound: int | None, before: int | None) -> int | None:
    """How much more an attempt can cost than the one before it; None where only of that one a price is known."""
    if bound is None:
        return 0 if before is None else None
    return max(0, bound - (before or 0))
