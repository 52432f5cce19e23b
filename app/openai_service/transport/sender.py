"""Sender: sends a request under the retry policy, and reads its answer."""

from __future__ import annotations

import functools
import math
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import httpx2

from app.config import SendSettings
from app.openai_service.errors import UpstreamError, UpstreamRejected
from app.openai_service.resilience.breaker import CircuitBreaker, KeyValueStore
from app.openai_service.resilience.key_ring import KeyedClient, KeyRing
from app.openai_service.resilience.policy import Policy
from app.openai_service.resilience.retry import RetryBudget
from app.openai_service.responses.endpoints import Endpoints
from app.openai_service.responses.generated_images import get_max_event_bytes
from app.openai_service.responses.reasoning_items import (
    REASONING_ITEMS_JSON,
    drop_reasoning_items,
    has_reasoning_items,
)
from app.openai_service.responses.request_body import NOT_STORED, build_response_body
from app.openai_service.responses.stream import ResponseReader
from app.openai_service.responses.tool_media import move_media
from app.openai_service.results import Attempt, CallRecord
from app.openai_service.streaming.chunks import ChunkReader
from app.openai_service.streaming.reader import AnswerReader, StreamedAnswer, open_answer
from app.openai_service.streaming.ticks import Ticks
from app.openai_service.transport.parameter_support import ParameterSupport
from app.openai_service.transport.prompt_caching import PromptCaching
from app.openai_service.transport.request import PendingRequest, encode
from app.openai_service.transport.request_bodies import CHAT_PATH, RESPONSES_PATH
from app.openai_service.transport.sdk_errors import TranslatedErrors
from app.openai_service.transport.upstream import Upstream
from app.upstream_http.call_state import Tick

T = TypeVar("T")


class SdkClient(KeyedClient, Protocol):
    """The interface to the SDK's client in sdk_client.py."""

    keys: KeyRing[Any]

    def post_bytes(self, path: str, content: bytes, *, stream: bool, traceparent: str = "") -> httpx2.Response:
        """Send a POST and return the response."""


class Sender:
    """Sends requests to one upstream, with retries and fallback models.

    Its methods raise `UpstreamError` if no attempt succeeds, and propagate errors of `CallContext.reserve_attempt()`.
    """

    def __init__(
        self, settings: SendSettings, upstream: Upstream, client: SdkClient, store: KeyValueStore
    ) -> None:
        self._settings = settings
        self._upstream = upstream
        self._keys: KeyRing[SdkClient] = client.keys
        self._endpoints = Endpoints(upstream)
        self._parameter_support = ParameterSupport(has_families=upstream.has_families)
        self._prompt_caching = PromptCaching(upstream)
        self.breaker = CircuitBreaker(store, settings.breaker, upstream=upstream.breaker_key)
        self._policy = Policy(self.breaker, max_attempts=settings.max_attempts)

    @property
    def retry_budget(self) -> RetryBudget:
        """The budget of its retries."""
        return self._policy.budget

    def send(self, request: PendingRequest, read: Callable[[httpx2.Response, CallRecord], T]) -> Ticks[T]:
        """Send a request, and return the complete response as parsed by `read`."""
        record = request.record

        def get_answer(client: SdkClient, model: str) -> Ticks[T]:
            response, _ = yield from self._send_adapted(request, model, client)
            return read(response, record)

        def make_attempt(model: str) -> Ticks[T]:
            attempt = self._begin_attempt(request, model)
            try:
                answer = yield from self._try_keys(request, lambda client: get_answer(client, model))
            except UpstreamError as error:
                _note_failure(attempt, error)
                if error.billed_usage is not None:
                    record.note_usage(error.billed_usage)
                raise
            attempt.served = record.model
            return answer

        return self._policy.run(make_attempt, request)

    def open_stream(self, request: PendingRequest) -> Ticks[StreamedAnswer]:
        """Send a streamed request, and return the answer once it has begun."""
        call_state, record = request.call_state, request.record

        def get_beginning(client: SdkClient, model: str) -> Ticks[StreamedAnswer]:
            response, path = yield from self._send_adapted(
                request, model, client, timeout_s=self._settings.first_token_timeout_s
            )
            started = time.perf_counter()
            try:
                if path == RESPONSES_PATH:
                    reader: AnswerReader = ResponseReader(model, max_event_bytes=get_max_event_bytes(request.body))
                else:
                    reader = ChunkReader()
                return (
                    yield from open_answer(
                        response, reader, call_state, record, idle_timeout_s=self._settings.idle_timeout_s
                    )
                )
            finally:
                record.upstream_ms += (time.perf_counter() - started) * 1000

        def make_attempt(model: str) -> Ticks[StreamedAnswer]:
            attempt = self._begin_attempt(request, model)
            attempt.is_streamed = True
            try:
                answer = yield from self._try_keys(request, lambda client: get_beginning(client, model))
            except UpstreamError as error:
                _note_failure(attempt, error)
                raise
            attempt.served = answer.model or None
            return answer

        return self._policy.run(make_attempt, request)

    def _try_keys(self, request: PendingRequest, send: Callable[[SdkClient], Ticks[T]]) -> Ticks[T]:
        """Send with each key in turn until the upstream accepts one. A refused key costs nothing."""
        while True:
            client = self._keys.choose()
            try:
                return (yield from send(client))
            except UpstreamError as error:
                if not self._keys.set_aside(client, error) or request.call_state.is_abandoned:
                    raise

    def _begin_attempt(self, request: PendingRequest, model: str) -> Attempt:
        """Reserve the maximum cost of an attempt, and add it to the record. Raises what `reserve_attempt()` raises."""
        if request.path == CHAT_PATH:
            request.min_output_tokens = self._endpoints.get_min_output_tokens(model, request.body)
        record = request.record
        try:
            watch = record.caller.reserve_attempt(model, request)
        except Exception:
            record.attempt_log.append(Attempt(model, billed="no", is_refused=True))
            raise
        attempt = Attempt(model, watch=watch, traceparent=record.caller.traceparent)
        record.attempt_log.append(attempt)
        return attempt

    def _send_adapted(
        self, request: PendingRequest, model: str, client: SdkClient, *, timeout_s: float = math.inf
    ) -> Ticks[tuple[httpx2.Response, str]]:
        """Send a request in the form that its model accepts. If the model refuses it, store why and send it changed.

        Returns:
            the response, and the path of the endpoint that answered.
        """
        tried: defaultdict[str, set[object]] = defaultdict(set)
        request.call_state.limit_wait(timeout_s)
        while True:
            path, body, content = self._prepare(request, model)
            try:
                response = yield from self._send_once(request, client, path, content, stream="stream" in body)
            except UpstreamError as error:
                if path == RESPONSES_PATH and error.field == "input":  # for embeddings, `input` is our field too
                    error.field = "messages"
                can_resend = self._learn(model, request, path, body, error, tried[path])
                if not can_resend or request.call_state.is_abandoned:
                    raise
            else:
                return response, path

    def _prepare(self, request: PendingRequest, model: str) -> tuple[str, dict[str, Any], bytes]:
        """Return a request's endpoint, its body in the format of chat completions, and the JSON to send."""
        path, record = request.path, request.record
        if path == CHAT_PATH:
            path = self._endpoints.choose(model, request.body)
        body = self._prompt_caching.mark(model, request)
        if path == RESPONSES_PATH and "store" not in body:
            body = {**NOT_STORED, **body}
        body, changed = self._parameter_support.adapt(path, model, body)
        if request.media:
            body, lowered = self._parameter_support.lower_details(model, body)
            changed |= lowered
            if path == CHAT_PATH and (moved := move_media(body["messages"])) is not body["messages"]:
                body = {**body, "messages": moved}
        adjusted = record.adjusted = request.adjusted | changed
        record.has_own_cache = "prompt_cache_key" in body
        record.attempt_log[-1].service_tier = body.get("service_tier")
        if path == RESPONSES_PATH:
            reasons = self._endpoints.requests_reasoning(model, body)
            translated, changed = build_response_body(body, model, reasons=reasons)
            record.adjusted = adjusted | changed
            return path, body, encode(model, translated)
        content = request.encode(model) if body is request.body else encode(model, body)
        if content.find(REASONING_ITEMS_JSON) >= 0:
            content = encode(model, {**body, "messages": drop_reasoning_items(body["messages"])})
        return path, body, content

    def _learn(
        self,
        model: str,
        request: PendingRequest,
        path: str,
        body: dict[str, Any],
        error: UpstreamError,
        tried: set[object],
    ) -> bool:
        """Store why a request was refused. Return whether it can be sent again in another form."""
        if request.path == CHAT_PATH and self._endpoints.learn(model, path, request.body, body, error):
            return True
        if path == RESPONSES_PATH and error.param == "include" and "include" not in tried:
            tried.add("include")
            self._endpoints.note_without_reasoning(model)
            return True
        if error.upstream_code == "invalid_encrypted_content" and has_reasoning_items(request.body["messages"]):
            request.replace_body({**request.body, "messages": drop_reasoning_items(request.body["messages"])})
            return True
        if not isinstance(error, UpstreamRejected):
            return False
        if "cache" not in tried and self._prompt_caching.learn(model, error):
            tried.add("cache")
            return True
        return self._parameter_support.learn(path, model, error, body, tried)

    def _send_once(
        self, request: PendingRequest, client: SdkClient, path: str, content: bytes, *, stream: bool
    ) -> Ticks[httpx2.Response]:
        call_state, record = request.call_state, request.record
        path = self._upstream.path(path, record.attempt_log[-1].model)

        # Without the SDK's typed layer, which walks every message and builds a Pydantic model for every chunk.
        post = functools.partial(client.post_bytes, path, content, stream=stream)
        record.attempts += 1
        attempt = record.attempt_log[-1]
        attempt.note_sent()
        if attempt.traceparent:
            post = functools.partial(post, traceparent=attempt.traceparent)
        try:
            with TranslatedErrors():
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


def _note_failure(attempt: Attempt, error: UpstreamError) -> None:
    """Record why an attempt failed. It has ended already if the answer itself reported the failure and its usage."""
    attempt.failure = error.upstream_status, error.upstream_code
    if not attempt.is_complete:
        attempt.end(may_be_billed=error.may_be_billed)
