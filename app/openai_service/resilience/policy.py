"""How a call is made of attempts: fallback over models, around retry, around the breaker, around one attempt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from app.openai_service.errors import (
    CircuitOpen,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.openai_service.resilience.breaker import CircuitBreaker, Permit
from app.openai_service.resilience.retry import BackoffWaits, RetryBudget, is_outage, is_transient
from app.openai_service.results import CallRecord
from app.openai_service.streaming.ticks import Ticks, pause
from app.upstream_http.call_state import CallState

T = TypeVar("T")

AskModel = Callable[[str], Ticks[T]]
"""Makes one attempt at a model, and reads its answer, or the first of its stream."""

# Longer than this is not waited for one model while another one may answer at once.
_MAX_WAIT_BEFORE_FALLBACK_S = 5.0
# How long after its deadline a call that did not report back counts as dead, and its probe as lost.
_PROBE_GRACE_S = 5.0


class Policy:
    """Asks until a model answers, within the call's deadline."""

    def __init__(self, breaker: CircuitBreaker, *, max_attempts: int) -> None:
        self._breaker = breaker
        self._budget = RetryBudget()
        self._max_attempts = max_attempts

    def run(self, ask: AskModel[T], models: Sequence[str], call_state: CallState, record: CallRecord) -> Ticks[T]:
        """Ask the models in their order.

        Raises:
            UpstreamRejected: one of them refused the request itself.
            CircuitOpen: none was asked, as all of them failed too often of late.
            UpstreamUnavailable: those that were asked failed; the last one's error.
        """
        failures: list[UpstreamUnavailable] = []
        for position, model in enumerate(models):
            has_fallback = position + 1 < len(models)
            try:
                return (yield from self._ask(ask, model, call_state, record, has_fallback=has_fallback))
            except UpstreamUnavailable as failure:
                failures.append(failure)
                if call_state.is_abandoned or not is_outage(failure):
                    break
        raise _most_informative(failures)

    def _ask(
        self, ask: AskModel[T], model: str, call_state: CallState, record: CallRecord, *, has_fallback: bool
    ) -> Ticks[T]:
        """Ask one model, again where that may help."""
        permit = self._admit(model, call_state)
        self._budget.count_call()
        record.model = model
        record.models.append(model)
        waits: BackoffWaits | None = None
        attempts_left = self._max_attempts
        while True:
            try:
                answer = yield from ask(model)
            except UpstreamError as error:
                failure = error
                if _counts_for_breaker(error) and not call_state.is_abandoned:
                    permit.failed()
            else:
                permit.succeeded()
                return answer
            finally:
                permit.release()  # where nothing else was said of it

            attempts_left -= 1
            waits = waits or BackoffWaits()
            wait_s = self._wait_s(failure, waits, model, call_state, has_fallback) if attempts_left else None
            if wait_s is None:
                raise failure
            record.waited_ms += wait_s * 1000
            yield from pause(wait_s, tick_s=call_state.tick_s)
            if call_state.is_abandoned:  # it was wanted before the pause
                raise failure
            try:
                permit = self._admit(model, call_state)
            except CircuitOpen:
                raise failure from None

    def _admit(self, model: str, call_state: CallState) -> Permit:
        """Let one attempt through the breaker. Raises UpstreamTimeout or CircuitOpen."""
        remaining_s = call_state.remaining_s()
        if remaining_s <= 0:
            raise UpstreamTimeout
        return self._breaker.admit(model, lease_s=remaining_s + _PROBE_GRACE_S)

    def _wait_s(
        self, failure: UpstreamError, waits: BackoffWaits, model: str, call_state: CallState, has_fallback: bool
    ) -> float | None:
        """Return how long to wait before a model is asked again; None where that would not help, or may not be."""
        if not is_transient(failure):
            return None
        wait_s = waits.next_s(failure)
        if wait_s >= call_state.remaining_s() or (has_fallback and wait_s > _MAX_WAIT_BEFORE_FALLBACK_S):
            return None
        if call_state.is_abandoned or self._breaker.is_open(model) or not self._budget.take():
            return None
        return wait_s


def _counts_for_breaker(error: UpstreamError) -> bool:
    """Whether the breaker counts it: no answer, or none in time. A limit is no failure, as the model does answer."""
    return (
        is_outage(error) and not isinstance(error, UpstreamRateLimited) and error.upstream_status not in (408, 409)
    )


def _most_informative(failures: Sequence[UpstreamUnavailable]) -> UpstreamUnavailable:
    """The last real failure; where no model was asked, the circuit that will close first."""
    asked = [failure for failure in failures if not isinstance(failure, CircuitOpen)]
    return asked[-1] if asked else min(failures, key=lambda failure: failure.retry_after_s or 0.0)
