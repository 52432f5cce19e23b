"""Asker: from a question to an answer that has been read, by as many upstream requests as the policy makes of it."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import httpx2
import orjson

from app.config import Config
from app.openai_service.adaptation import Adaptation
from app.openai_service.breaker import CircuitBreaker, Store
from app.openai_service.client import upstream_path
from app.openai_service.errors import UpstreamError, UpstreamRejected, as_ours
from app.openai_service.exchange import Exchange, StillWaiting
from app.openai_service.policy import Policy
from app.openai_service.reading import StreamedAnswer, begin
from app.openai_service.results import CallRecord
from app.openai_service.waiting import Ticks

T = TypeVar("T")


class UpstreamCaller(Protocol):
    """The one thing that is asked of the client: see client.py."""

    def post_bytes(self, path: str, content: bytes, *, stream: bool) -> httpx2.Response: ...


@dataclass(slots=True)
class Question:
    """What is asked of which models, until when, and the record of it.

    Attributes:
        body: of the request, but for its model.
        failure: of the last attempt, if there was one.
        adjusted: what in it is otherwise than the caller asked for, whatever the model.
    """

    path: str
    body: dict[str, Any]
    models: Sequence[str]
    exchange: Exchange
    record: CallRecord
    adjusted: dict[str, str] = field(default_factory=dict)
    failure: UpstreamError | None = None


class Asker:
    """Raises UpstreamError where nothing came of a question, and what its caller raises when it is charged."""

    def __init__(self, config: Config, client: UpstreamCaller, store: Store) -> None:
        self._config = config
        self._client = client
        self._adaptation = Adaptation()
        breaker = CircuitBreaker(
            store,
            upstream=config.azure_openai_endpoint or config.openai_base_url,
            failures=config.breaker_failures,
            cooldown_s=config.breaker_cooldown_s,
        )
        self._policy = Policy(breaker, max_attempts=config.retry_max_attempts)

    def ask(self, question: Question, read: Callable[[httpx2.Response, CallRecord], T]) -> Ticks[T]:
        """An answer in one piece."""

        def attempt(model: str) -> Ticks[T]:
            with _charged(question, model):
                response = yield from self._send(question, model)
                return read(response, question.record)

        return self._policy.run(attempt, question.models, question.exchange, question.record)

    def stream(self, question: Question) -> Ticks[StreamedAnswer]:
        """An answer that has begun."""
        exchange, record = question.exchange, question.record

        def attempt(model: str) -> Ticks[StreamedAnswer]:
            with _charged(question, model):
                response = yield from self._send(question, model, within_s=self._config.first_token_timeout_s)
                started = time.perf_counter()
                try:
                    return (yield from begin(response, exchange, idle_timeout_s=self._config.idle_timeout_s))
                finally:
                    record.upstream_ms += (time.perf_counter() - started) * 1000

        return self._policy.run(attempt, question.models, exchange, record)

    def _send(self, question: Question, model: str, *, within_s: float = math.inf) -> Ticks[httpx2.Response]:
        """Send a request as its model takes it: again, at once, where that refuses a parameter."""
        body = {"model": model, **question.body}
        record = question.record
        tried: set[str] = set()
        question.exchange.allow(within_s)
        adjusted = question.adjusted
        while True:
            adjusted = record.adjusted = adjusted | self._adaptation.apply(model, body)
            try:
                return (yield from self._send_once(question, model, body))
            except UpstreamRejected as error:
                if not self._adaptation.learn(model, error, body, tried) or question.exchange.is_unwanted:
                    raise

    def _send_once(self, question: Question, model: str, body: dict[str, Any]) -> Ticks[httpx2.Response]:
        exchange, record = question.exchange, question.record
        path = upstream_path(self._config, question.path, model)

        # Past the SDK's typed layer, which walks every message and builds a model of every chunk.
        post = functools.partial(
            self._client.post_bytes, path, orjson.dumps(body), stream=bool(body.get("stream"))
        )
        record.attempts += 1
        try:
            with as_ours():
                while True:
                    started = time.perf_counter()
                    try:
                        response = exchange.run(post)
                    except StillWaiting:
                        yield []
                        continue
                    finally:
                        record.upstream_ms += (time.perf_counter() - started) * 1000
                    record.upstream_request_id = response.headers.get("x-request-id")
                    return response
        finally:
            exchange.abandon()


@contextmanager
def _charged(question: Question, model: str) -> Iterator[None]:
    """Have the caller charged for one attempt, and remember how it failed for the next one's charge."""
    record = question.record
    try:
        record.caller.charge(model, question.body, question.failure, record)
    except Exception:
        record.is_refused = True
        raise
    record.may_be_billed = True
    try:
        yield
    except UpstreamError as error:
        question.failure = error
        record.may_be_billed = error.may_be_billed
        raise
    question.failure = None
