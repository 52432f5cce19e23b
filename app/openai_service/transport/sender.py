"""Sending a request under the retry policy, and reading its answer."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import httpx2

from app.config import SendSettings
from app.openai_service.errors import UpstreamError, UpstreamRejected
from app.openai_service.resilience.breaker import CircuitBreaker, KeyValueStore
from app.openai_service.resilience.policy import Policy
from app.openai_service.results import Attempt, CallRecord
from app.openai_service.streaming.reader import StreamedAnswer, open_answer
from app.openai_service.streaming.ticks import Ticks
from app.openai_service.transport.parameter_support import ParameterSupport
from app.openai_service.transport.prompt_caching import PromptCaching
from app.openai_service.transport.request import PendingRequest, encode
from app.openai_service.transport.sdk_errors import translate_errors
from app.openai_service.transport.upstream import Upstream
from app.upstream_http.call_state import Tick

T = TypeVar("T")


class SdkClient(Protocol):
    """The part of the SDK's client that is used here: see sdk_client.py."""

    def post_bytes(self, path: str, content: bytes, *, stream: bool) -> httpx2.Response:
        """Send a POST and return the response."""


class Sender:
    """Sends requests to one upstream, with retries and fallback models.

    Its methods raise `UpstreamError` if no attempt succeeds, and what `CallContext.reserve_attempt()` raises.
    """

    def __init__(
        self, settings: SendSettings, upstream: Upstream, client: SdkClient, store: KeyValueStore
    ) -> None:
        self._settings = settings
        self._upstream = upstream
        self._client = client
        self._parameter_support = ParameterSupport(has_families=upstream.has_families)
        self._prompt_caching = PromptCaching(upstream)
        breaker = CircuitBreaker(store, settings.breaker, upstream=upstream.breaker_key)
        self._policy = Policy(breaker, max_attempts=settings.max_attempts)

    def send(self, request: PendingRequest, read: Callable[[httpx2.Response, CallRecord], T]) -> Ticks[T]:
        """Send a request, and return what `read` makes of the complete response."""
        record = request.record

        def make_attempt(model: str) -> Ticks[T]:
            attempt = _begin_attempt(request, model)
            try:
                response = yield from self._send_adapted(request, model)
                answer = read(response, record)
            except UpstreamError as error:
                attempt.end(may_be_billed=error.may_be_billed)
                if error.paid is not None:
                    record.note_usage(error.paid)
                raise
            attempt.served = record.model
            return answer

        return self._policy.run(make_attempt, request)

    def open_stream(self, request: PendingRequest) -> Ticks[StreamedAnswer]:
        """Send a streamed request, and return the answer once it has begun."""
        call_state, record = request.call_state, request.record

        def make_attempt(model: str) -> Ticks[StreamedAnswer]:
            attempt = _begin_attempt(request, model)
            attempt.is_streamed = True
            try:
                response = yield from self._send_adapted(
                    request, model, timeout_s=self._settings.first_token_timeout_s
                )
                started = time.perf_counter()
                try:
                    answer = yield from open_answer(
                        response, call_state, record, idle_timeout_s=self._settings.idle_timeout_s
                    )
                finally:
                    record.upstream_ms += (time.perf_counter() - started) * 1000
            except UpstreamError as error:
                attempt.end(may_be_billed=error.may_be_billed)
                raise
            attempt.served = answer.model or None
            return answer

        return self._policy.run(make_attempt, request)

    def _send_adapted(
        self, request: PendingRequest, model: str, *, timeout_s: float = math.inf
    ) -> Ticks[httpx2.Response]:
        """Send a request adapted to its model; if the model refuses a parameter, adapt and send it again."""
        tried: set[object] = set()
        request.call_state.limit_wait(timeout_s)
        body, adjusted = self._prompt_caching.mark(model, request), request.adjusted
        is_marked = body is not request.body
        while True:
            body, changed = self._parameter_support.adapt(request.path, model, body)
            adjusted = request.record.adjusted = adjusted | changed
            request.record.has_own_cache = "prompt_cache_key" in body
            request.record.attempt_log[-1].service_tier = body.get("service_tier")
            content = request.encode(model) if body is request.body else encode(model, body)
            try:
                return (yield from self._send_once(request, model, content, stream="stream" in body))
            except UpstreamRejected as error:
                if is_marked and self._prompt_caching.learn(model, error):
                    body, is_marked, is_new = request.body, False, True
                else:
                    is_new = self._parameter_support.learn(request.path, model, error, body, tried)
                if not is_new or request.call_state.is_abandoned:
                    raise

    def _send_once(
        self, request: PendingRequest, model: str, content: bytes, *, stream: bool
    ) -> Ticks[httpx2.Response]:
        call_state, record = request.call_state, request.record
        path = self._upstream.path(request.path, model)

        # Without the SDK's typed layer, which walks every message and builds a model of every chunk.
        post = functools.partial(self._client.post_bytes, path, content, stream=stream)
        record.attempts += 1
        record.attempt_log[-1].note_sent()
        try:
            with translate_errors():
                while True:
                    started = time.perf_counter()
                    try:
                        response = call_state.run(post)
                    except Tick:
                        yield []
                        continue
                    finally:
                        record.upstream_ms += (time.perf_counter() - started) * 1000
                    record.upstream_request_id = response.headers.get("x-request-id")
                    return response
        finally:
            call_state.close_connection()


def _begin_attempt(request: PendingRequest, model: str) -> Attempt:
    """Have the caller reserve what an attempt may cost, and add it to the record. Raises what the caller raises."""
    record = request.record
    try:
        watch = record.caller.reserve_attempt(model, request)
    except Exception:
        record.attempt_log.append(Attempt(model, billed="no", is_refused=True))
        raise
    attempt = Attempt(model, watch=watch)
    record.attempt_log.append(attempt)
    return attempt
