"""BatchCalls: sends requests to the Batch API with retries. All of them share one circuit breaker."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from time import monotonic
from typing import Protocol

import httpx2

from app.openai_service.batches.failures import NoteFailure
from app.openai_service.errors import CircuitOpen, UpstreamError
from app.openai_service.resilience.breaker import CircuitBreaker, Permit
from app.openai_service.resilience.policy import PROBE_GRACE_S, counts_for_breaker, find_cause
from app.openai_service.resilience.retry import BackoffWaits, is_transient
from app.openai_service.streaming.ticks import pause
from app.openai_service.transport.sdk_errors import TranslatedErrors
from app.upstream_http.call_state import CallState, Tick

CIRCUIT = ("batches", "")
"""The key of the circuit: the operation, and no model, since these requests call none."""

NOT_FOUND = (404, 405)
"""The status of a server that does not have the object, or no Batch API."""

_TICK_S = 1.0


class WatchRequest(Protocol):
    """Observes the attempts of requests."""

    def __call__(self, method: str, template: str) -> Callable[[UpstreamError | None], None]:
        """Start to observe an attempt. The returned function is called at its end, with the error if it failed."""


def watch_nothing(method: str, template: str) -> Callable[[UpstreamError | None], None]:  # noqa: ARG001
    """Ignore the attempt."""
    return lambda _: None


class BatchCalls:
    """Sends requests and retries transient failures. Sends nothing while the circuit is open."""

    def __init__(self, breaker: CircuitBreaker, note_failure: NoteFailure, *, max_attempts: int) -> None:
        self._breaker = breaker
        self._circuit = ":".join(CIRCUIT)
        self._note_failure = note_failure
        self._max_attempts = max_attempts
        self.watch: WatchRequest = watch_nothing
        """Called for each attempt."""

    def send(
        self,
        send: Callable[[], httpx2.Response],
        route: tuple[str, str],
        *,
        caller: str,
        deadline: float,
        fingerprint: Callable[[], str],
        is_safe: Callable[[UpstreamError], bool] = lambda _: True,
    ) -> httpx2.Response:
        """Send a request.

        Args:
            send: makes one attempt.
            route: the method, and the template of the path.
            caller: the owner of the batch.
            deadline: of all attempts, in seconds of time.monotonic().
            fingerprint: returns a text that identifies the request; called only if it fails.
            is_safe: returns whether the request may be sent again after an error.

        Raises:
            CircuitOpen: the circuit is open; nothing was sent.
            UpstreamError: every attempt failed; this is the error of the last one.
        """
        permit: Permit | None = self._admit(caller, deadline)
        waits = BackoffWaits()
        for number in count(1):
            if permit is None:
                break
            note_end = self.watch(*route)
            try:
                response = _attempt(send, deadline)
            except UpstreamError as error:
                failure = error
                note_end(error)
                if counts_for_breaker(error):
                    permit.failed(find_cause(error, fingerprint))
            else:
                note_end(None)
                permit.succeeded()
                return response
            finally:
                permit.release()  # has no effect once the result is reported
            wait_s = waits.next_s(failure)
            may_retry = number < self._max_attempts and is_transient(failure) and is_safe(failure)
            if not may_retry or wait_s >= deadline - monotonic():
                break
            if self._breaker.is_open(self._circuit, caller=caller):
                break
            for _ in pause(wait_s, tick_s=_TICK_S):
                pass
            permit = self._admit_retry(caller, deadline)
        if failure.upstream_status not in NOT_FOUND:
            self._note_failure(failure)
        raise failure

    def _admit(self, caller: str, deadline: float) -> Permit:
        lease_s = max(deadline - monotonic(), 0) + PROBE_GRACE_S
        return self._breaker.admit(self._circuit, lease_s=lease_s, caller=caller)

    def _admit_retry(self, caller: str, deadline: float) -> Permit | None:
        """Return a permit for a retry, or None if the circuit has opened during the pause."""
        try:
            return self._admit(caller, deadline)
        except CircuitOpen:
            return None


def _attempt(send: Callable[[], httpx2.Response], deadline: float) -> httpx2.Response:
    call_state = CallState(deadline, tick_s=_TICK_S)
    try:
        with TranslatedErrors():
            while True:
                try:
                    return call_state.run(send)
                except Tick:
                    continue
    finally:
        call_state.close_connection()
