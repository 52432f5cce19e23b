"""Meter: reserves the maximum cost of each attempt, and settles the actual cost when the call ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from app.billing.ledger.call_notes import CallNote, Charge
from app.billing.ledger.ledger import Ledger
from app.billing.ledger.records import Hold, Limit, NewEntry, Settlement, Source
from app.frozen import frozen
from app.limits.hosted_calls import bound_calls, price_calls
from app.limits.token_rate_limit import TokenRateLimit
from app.models.pricing.interface import PriceList
from app.models.token_counts import FIGURES, Usage, get_figures
from app.models.token_counts.estimates import estimate_usage
from app.openai_service import Attempt, CallRecord, PendingRequest
from app.openai_service.responses.hosted_tools import MAX_CALLS, TOKENS_PER_CALL

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
        self.settlement: Settlement | None = None
        """The charge of the call, after its end."""
        self._bound_micro_usd: int | None = 0
        self._charge: Charge = (0, 0)
        """The charge of the attempts before the last one."""
        # For each attempt, to estimate its usage if the upstream reports none. The record holds no content.
        self._requests: list[_AttemptRequest] = []

    def reserve_attempt(self, model: str, request: PendingRequest) -> Callable[[Attempt], None]:
        """Place a hold for the maximum cost of an attempt, and count its maximum number of tokens.

        Returns:
            a watcher that writes each step of the attempt to disk, in case this process is killed.

        Raises:
            RateLimited: a token rate limit is exceeded.
            BudgetExceeded: a budget has too little left.
            Unpriced: the model has no known price, and a budget is in dollars.
            DatabaseUnavailable: the ledger cannot be written.
        """
        input_tokens, output_tokens = request.billable_input(model), request.max_output_tokens
        tokens = input_tokens + output_tokens
        tier = request.body.get("service_tier")
        micro_usd = self._prices.bound_micro_usd(model, input_tokens, output_tokens, tier)
        if micro_usd is not None and MAX_CALLS in request.body:
            micro_usd += bound_calls(self._prices, model, request.body)
        if self._hold is None:
            entry = self._entry.of_model(model)
            self._token_rate_limit.reserve(tokens)
            self._hold = self._ledger.hold(
                entry, self._limits, micro_usd=micro_usd, tokens=tokens, lease_s=self._lease_s
            )
        elif request.record.attempt_log[-1].billed != "no":
            # A further round, or a retry after an attempt that may be billed: its cost is added.
            self._token_rate_limit.reserve(tokens)
            self._ledger.extend(self._hold, micro_usd=micro_usd, tokens=tokens)
        elif (extra := _compute_extra_cost(micro_usd, self._bound_micro_usd)) != 0:
            self._ledger.extend(self._hold, micro_usd=extra, tokens=0)
        if self._hold.note is not None and (reserved := self._token_rate_limit.dump()):
            self._hold.note.set_reserved(reserved)
        if self._requests:
            used, cost, _ = self._bill(request.record)
            self._charge = cost, (used.prompt_tokens or 0) + (used.completion_tokens or 0)
        self._requests.append(_AttemptRequest(request.body, input_tokens, output_tokens))
        self._bound_micro_usd = micro_usd
        return self._note

    def _note(self, attempt: Attempt) -> None:
        """Write the progress of the last attempt to disk."""
        hold = self._hold
        if hold is None or (note := hold.note) is None:
            return
        if attempt.billed == "unknown" and not attempt.is_complete:
            if attempt.first_at is not None:
                note.set_received(attempt.received, attempt.first_at, attempt.last_at)
            elif attempt.is_in_flight:
                self._note_sent(note, attempt)
            return
        micro_usd, tokens = self._charge
        request = self._requests[-1]
        usage = attempt.usage if attempt.billed != "unknown" else None
        if usage is not None:
            self._observe(note, attempt, usage)
            cost = self._price(attempt, usage, request.body)
            tokens += (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        elif attempt.billed == "no":
            cost = 0
        else:
            cost = self._bound_micro_usd
            tokens += request.input_tokens + request.output_tokens
        note.set_charge(None if micro_usd is None or cost is None else micro_usd + cost, tokens)

    def _note_sent(self, note: CallNote, attempt: Attempt) -> None:
        request = self._requests[-1]
        tier, bound = request.body.get("service_tier"), self._bound_micro_usd
        input_cost = self._prices.bound_micro_usd(attempt.model, request.input_tokens, 0, tier)
        if input_cost is not None and MAX_CALLS in request.body:
            input_cost += bound_calls(self._prices, attempt.model, request.body)
        note.set_charge(None if bound is None else self._charge[0], self._charge[1])
        per_token = ((bound or 0) - (input_cost or 0)) / max(1, request.output_tokens)
        sent_at = attempt.sent_at if attempt.is_streamed else None
        kind = f"{self._entry.operation}/{attempt.model}"
        note.begin_answer(kind, (input_cost, request.input_tokens), per_token, request.output_tokens, sent_at)

    def _observe(self, note: CallNote, attempt: Attempt, usage: Usage) -> None:
        """Record the usage of a complete answer, to estimate the charge of answers whose process was killed."""
        text = None if attempt.first_at is None else (attempt.received, attempt.last_at - attempt.first_at)
        # If the answer's maximum fills the whole window, the bound of the input is 0.
        share = (usage.prompt_tokens or 0) / max(1, self._requests[-1].input_tokens)
        note.observe(usage.completion_tokens or 0, share, text, usage.reasoning_tokens or 0)

    def reserve_nothing(self, model: str) -> None:
        """Add an entry for a call that costs nothing, such as a cached answer.

        Raises:
            BudgetExceeded: a budget is used up.
            DatabaseUnavailable: the ledger cannot be written.
        """
        entry = self._entry.of_model(model)
        self._hold = self._ledger.hold(entry, self._limits, micro_usd=0, tokens=0, lease_s=self._lease_s)

    def compute_cost(self, record: CallRecord) -> int | None:
        """Return the cost of the call so far, in micro-dollars; None if a price is unknown."""
        return self._bill(record)[1]

    def settle(self, record: CallRecord) -> None:
        """Replace the hold with the actual cost, and release unused tokens. A call without a hold has no entry."""
        if self._hold is None:
            self._token_rate_limit.release_unused(0)
            return
        used, cost, is_estimated = self._bill(record)
        source: Source = "cached" if record.is_cached else "estimated" if is_estimated else "reported"
        self.settlement = settlement = Settlement(
            outcome=record.outcome,
            source=source,
            model=record.model if record.outcome == "complete" or record.has_answer else None,
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

        The usage of an attempt is the one that the upstream reported, or an estimate that is not too low. The cost is
        None if the price of an attempt is unknown.
        """
        used: Usage | None = None
        cost: int | None = 0
        is_estimated = False
        # Not strict: the last attempt may have been refused, and then it has no request.
        for attempt, request in zip(record.attempt_log, self._requests, strict=False):
            usage = attempt.usage
            if attempt.billed == "unknown":
                is_estimated = True
                estimate = request.estimate_usage(attempt)
                usage = estimate if usage is None or estimate is None else usage.complete(estimate)
            if usage is not None:
                used = usage if used is None else used + usage
                price = self._price(attempt, usage, request.body)
                cost = None if cost is None or price is None else cost + price
        if used is None and self._requests:  # nothing was billed, but without a price the cost is still unknown
            cost = self._price(record.attempt_log[len(self._requests) - 1], _NO_USAGE, {})
        return used or _NO_USAGE, cost, is_estimated

    def _price(self, attempt: Attempt, usage: Usage, body: Mapping[str, Any]) -> int | None:
        """Return the cost of an attempt, at the price of the model that served it, or else of the requested model."""
        tier, cost = attempt.service_tier, None
        if attempt.served is not None:
            cost = self._prices.cost_micro_usd(attempt.served, usage, tier)
        if cost is None:
            cost = self._prices.cost_micro_usd(attempt.model, usage, tier)
        return cost + price_calls(self._prices, attempt, body) if cost is not None and MAX_CALLS in body else cost


@frozen()
class _AttemptRequest:
    """The request of an attempt, and its maximum numbers of tokens."""

    body: Mapping[str, Any]
    input_tokens: int
    output_tokens: int

    def estimate_usage(self, attempt: Attempt) -> Usage | None:
        """Estimate the usage that the upstream may have billed for an attempt without reporting it.

        An upstream stops a streamed answer when the connection closes. It completes any other answer even without a
        client, so if that did not arrive, its maximum counts.
        """
        if attempt.sent_at is None:
            return None
        if attempt.is_complete or attempt.is_streamed:
            estimate = estimate_usage(
                self.body, attempt.received, unseen=attempt.bound_unseen(), ceiling=self.output_tokens
            )
            return estimate if MAX_CALLS not in self.body else self._add_tool_results(estimate, attempt)
        return Usage(prompt_tokens=self.input_tokens, completion_tokens=self.output_tokens)

    def _add_tool_results(self, estimate: Usage, attempt: Attempt) -> Usage:
        """Add the results of hosted tools to an estimate: after each call, the model reads the whole input again."""
        calls = sum(attempt.hosted_calls.values())
        prompt = (estimate.prompt_tokens or 0) * (calls + 1) + TOKENS_PER_CALL * calls * (calls + 1) // 2
        return replace(estimate, prompt_tokens=min(prompt, self.input_tokens))


def _compute_extra_cost(bound: int | None, before: int | None) -> int | None:
    """Return how much more an attempt can cost than the previous one; None if only the previous one has a known price."""
    if bound is None:
        return 0 if before is None else None
    return max(0, bound - (before or 0))
