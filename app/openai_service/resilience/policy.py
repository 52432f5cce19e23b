"""Policy: makes the attempts of a call, with fallback models, retries and circuit breakers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from app.openai_service.errors import (
    CircuitOpen,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from app.openai_service.resilience.breaker import CircuitBreaker, Permit
from app.openai_service.resilience.retry import (
    LOCAL_CODES,
    BackoffWaits,
    RetryBudget,
    is_model_gone,
    is_outage,
    is_transient,
)
from app.openai_service.streaming.ticks import Ticks, pause

if TYPE_CHECKING:
    from app.openai_service.transport.request import PendingRequest

T = TypeVar("T")

MakeAttempt = Callable[[str], Ticks[T]]
"""Makes one attempt with a model, and returns its answer, or the beginning of its stream."""

# If there is a fallback model, a longer wait is not worth it.
_MAX_WAIT_BEFORE_FALLBACK_S = 5.0
PROBE_GRACE_S = 5.0
"""If a probe has reported no result this long after its call's deadline, its process is dead and the probe expires."""


class Policy:
    """Makes attempts until a model answers or the call's deadline has passed."""

    def __init__(self, breaker: CircuitBreaker, *, max_attempts: int) -> None:
        self._breaker = breaker
        self.budget = RetryBudget()
        self._max_attempts = max_attempts

    def run(self, make_attempt: MakeAttempt[T], request: PendingRequest) -> Ticks[T]:
        """Try the models of a request in order, and return the first answer.

        Raises:
            UpstreamRejected: a model refused the request itself.
            CircuitOpen: the circuits of all models are open; nothing was sent.
            UpstreamUnavailable: every attempt failed. The error is that of the last attempt.
        """
        failures: list[UpstreamUnavailable] = []
        last = len(request.models) - 1
        for position, model in enumerate(request.models):
            try:
                return (yield from self._try_model(make_attempt, model, request, has_fallback=position < last))
            except UpstreamUnavailable as failure:
                failures.append(failure)
                if request.call_state.is_abandoned or not (is_outage(failure) or is_model_gone(failure)):
                    break
        raise _pick_most_informative(failures)

    def _try_model(
        self, make_attempt: MakeAttempt[T], model: str, request: PendingRequest, *, has_fallback: bool
    ) -> Ticks[T]:
        """Make attempts with one model, with a retry after each failure that is transient."""
        call_state, record = request.call_state, request.record
        circuit = f"{request.operation}:{model}"
        permit: Permit | None = self._admit(circuit, request)
        self.budget.count_call()
        record.model = model
        record.models.append(model)
        waits: BackoffWaits | None = None
        attempts_left = self._max_attempts
        while permit is not None:
            try:
                answer = yield from make_attempt(model)
            except UpstreamError as error:
                failure = error
                if counts_for_breaker(error) and not call_state.is_abandoned:
                    permit.failed(find_cause(error, lambda: request.fingerprint))
            else:
                permit.succeeded()
                return answer
            finally:
                permit.release()  # has no effect if a result was reported

            attempts_left -= 1
            waits = waits or BackoffWaits()
            wait_s = self._wait_s(failure, waits, circuit, request, has_fallback) if attempts_left else None
            if wait_s is None:
                break
            record.waited_ms += wait_s * 1000
            yield from pause(wait_s, tick_s=call_state.tick_s)
            permit = self._admit_retry(circuit, request)
        raise failure

    def _admit(self, circuit: str, request: PendingRequest) -> Permit:
        """Return the breaker's permit for one attempt. Raises UpstreamTimeout or CircuitOpen."""
        remaining_s = request.call_state.remaining_s()
        if remaining_s <= 0:
            raise UpstreamTimeout
        return self._breaker.admit(circuit, lease_s=remaining_s + PROBE_GRACE_S, caller=request.record.caller.user)

    def _admit_retry(self, circuit: str, request: PendingRequest) -> Permit | None:
        """Return a permit after a wait, or None if the client disconnected or the circuit opened meanwhile."""
        if request.call_state.is_abandoned:
            return None
        try:
            return self._admit(circuit, request)
        except CircuitOpen:
            return None

    def _wait_s(
        self,
        failure: UpstreamError,
        waits: BackoffWaits,
        circuit: str,
        request: PendingRequest,
        has_fallback: bool,
    ) -> float | None:
        """Return how long to wait before a retry, or None if there shall be no retry."""
        if not is_transient(failure):
            return None
        call_state, caller = request.call_state, request.record.caller.user
        wait_s = waits.next_s(failure)
        if wait_s >= call_state.remaining_s() or (has_fallback and wait_s > _MAX_WAIT_BEFORE_FALLBACK_S):
            return None
        if call_state.is_abandoned or self._breaker.is_open(circuit, caller=caller):
            return None
        return wait_s if self.budget.take(caller) else None


def find_cause(error: UpstreamError, fingerprint: Callable[[], str]) -> str:
    """Return a text that identifies the request and its failure for the breaker; "" if the request was not sent."""
    return f"{fingerprint()} {type(error).__name__} {error.upstream_status}" if error.was_sent else ""


def counts_for_breaker(error: UpstreamError) -> bool:
    """Return whether the breaker counts an error as a failure.

    It counts missing and late answers. It does not count rate limits, since the model does answer, nor errors caused by
    a lack of resources on this machine.
    """
    if not is_outage(error) or isinstance(error, UpstreamRateLimited) or error.upstream_code in LOCAL_CODES:
        return False
    return error.upstream_status not in (408, 409)


def _pick_most_informative(failures: Sequence[UpstreamUnavailable]) -> UpstreamUnavailable:
    """Return the error of the last attempt. If there was none, return that of the circuit to be probed first."""
    attempted = [failure for failure in failures if not isinstance(failure, CircuitOpen)]
    return attempted[-1] if attempted else min(failures, key=lambda failure: failure.retry_after_s or 0.0)
