"""Sender: from a request to an answer that has been read, in as many attempts as the policy makes of it."""

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
from app.openai_service.transport.request import PendingRequest, encode
from app.openai_service.transport.sdk_errors import translate_errors
from app.openai_service.transport.upstream import Upstream
from app.upstream_http.call_state import Tick

T = TypeVar("T")


class UpstreamSender(Protocol):
    """The one thing that is asked of the client: see client.py."""

    def post_bytes(self, path: str, content: bytes, *, stream: bool) -> httpx2.Response: ...


class Sender:
    """Raises UpstreamError where nothing came of a request, and what its caller raises when it is charged."""

    def __init__(
        self, settings: SendSettings, upstream: Upstream, client: UpstreamSender, store: KeyValueStore
    ) -> None:
        self._settings = settings
        self._upstream = upstream
        self._client = client
        self._adaptation = ParameterSupport()
        breaker = CircuitBreaker(store, settings.breaker, upstream=upstream.breaker_key)
        self._policy = Policy(breaker, max_attempts=settings.max_attempts)

    def send(self, request: PendingRequest, read: Callable[[httpx2.Response, CallRecord], T]) -> Ticks[T]:
        """An answer in one piece."""

        record = request.record

        def ask(model: str) -> Ticks[T]:
            attempt = _reserve(request, model)
            try:
                response = yield from self._send(request, model)
                answer = read(response, record)
            except UpstreamError as error:
                attempt.billed = "unknown" if error.may_be_billed else "no"
                raise
            attempt.served = record.model
            return answer

        return self._policy.run(ask, request.models, request.call_state, record)

    def open_stream(self, request: PendingRequest) -> Ticks[StreamedAnswer]:
        """An answer that has begun."""
        call_state, record = request.call_state, request.record

        def ask(model: str) -> Ticks[StreamedAnswer]:
            attempt = _reserve(request, model)
            try:
                response = yield from self._send(request, model, within_s=self._settings.first_token_timeout_s)
                started = time.perf_counter()
                try:
                    answer = yield from open_answer(
                        response, call_state, record, idle_timeout_s=self._settings.idle_timeout_s
                    )
                finally:
                    record.upstream_ms += (time.perf_counter() - started) * 1000
            except UpstreamError as error:
                attempt.billed = "unknown" if error.may_be_billed else "no"
                raise
            attempt.served = answer.model or None
            return answer

        return self._policy.run(ask, request.models, call_state, record)

    def _send(self, request: PendingRequest, model: str, *, within_s: float = math.inf) -> Ticks[httpx2.Response]:
        """Send a request as its model takes it: again, at once, where that refuses a parameter."""
        tried: set[str] = set()
        request.call_state.limit_wait(within_s)
        body, adjusted = request.body, request.adjusted
        while True:
            body, changed = self._adaptation.adapt(model, body)
            adjusted = request.record.adjusted = adjusted | changed
            content = request.encode(model) if body is request.body else encode(model, body)
            try:
                return (yield from self._send_once(request, model, content, stream="stream" in body))
            except UpstreamRejected as error:
                if not self._adaptation.learn(model, error, body, tried) or request.call_state.is_abandoned:
                    raise

    def _send_once(
        self, request: PendingRequest, model: str, content: bytes, *, stream: bool
    ) -> Ticks[httpx2.Response]:
        call_state, record = request.call_state, request.record
        path = self._upstream.path(request.path, model)

        # Past the SDK's typed layer, which walks every message and builds a model of every chunk.
        post = functools.partial(self._client.post_bytes, path, content, stream=stream)
        record.attempts += 1
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


def _reserve(request: PendingRequest, model: str) -> Attempt:
    """Have the caller reserve what one attempt may cost, and begin it. Raises what the caller does."""
    record = request.record
    try:
        record.caller.reserve_attempt(model, request)
    except Exception:
        record.attempt_log.append(Attempt(model, billed="no", is_refused=True))
        raise
    attempt = Attempt(model)
    record.attempt_log.append(attempt)
    return attempt
