"""How a call is made of attempts: for now one, and another where a model refuses a parameter."""

from __future__ import annotations

import functools
import time
from collections.abc import Generator
from typing import Any, Protocol, TypeVar

import httpx2
import openai
import orjson

from app.config import Config
from app.openai_service.adaptation import Adaptation
from app.openai_service.client import upstream_path
from app.openai_service.errors import UpstreamFailed, UpstreamRejected, UpstreamTimeout, translate
from app.openai_service.exchange import Exchange, StillWaiting
from app.openai_service.results import CallRecord

T = TypeVar("T")

Waiting = Generator[None, None, T]
"""Work that yields at each tick of waiting, and returns what it waited for."""


class UpstreamCaller(Protocol):
    """The one thing that is asked of the client: see client.py."""

    def post_bytes(self, path: str, content: bytes, *, stream: bool) -> httpx2.Response: ...


class Policy:
    """Sends requests for the service, and fills in what the record tells of the attempts."""

    def __init__(self, config: Config, client: UpstreamCaller) -> None:
        self._config = config
        self._client = client
        self._adaptation = Adaptation()

    def send(
        self, path: str, body: dict[str, Any], exchange: Exchange, record: CallRecord
    ) -> Waiting[httpx2.Response]:
        """Send a request until the upstream accepts it; a body that asks for a stream is answered unread.

        Raises:
            UpstreamError: it was refused, or nothing came of it.
        """
        model = body["model"]
        tried: set[str] = set()
        while True:
            record.adjusted |= self._adaptation.apply(model, body)
            try:
                return (yield from self._attempt(path, body, exchange, record))
            except UpstreamRejected as error:
                if not self._adaptation.learn(model, error, body, tried):
                    raise

    def _attempt(
        self, path: str, body: dict[str, Any], exchange: Exchange, record: CallRecord
    ) -> Waiting[httpx2.Response]:
        content = orjson.dumps(body)
        is_stream = bool(body.get("stream"))
        path = upstream_path(self._config, path, body["model"])

        # Past the SDK's typed layer, which walks every message and builds a model of every chunk.
        post = functools.partial(self._client.post_bytes, path, content, stream=is_stream)
        record.attempts += 1
        try:
            while True:
                started = time.perf_counter()
                try:
                    response = exchange.run(post)
                except StillWaiting:
                    yield
                    continue
                finally:
                    record.upstream_ms += (time.perf_counter() - started) * 1000
                record.upstream_request_id = response.headers.get("x-request-id")
                return response
        except openai.APIError as error:
            raise translate(error) from None
        except httpx2.TimeoutException:
            raise UpstreamTimeout from None
        except (httpx2.HTTPError, openai.OpenAIError):
            # Reading the body of an error can fail as well; the SDK lets that through.
            raise UpstreamFailed from None
        finally:
            exchange.abandon()


def result_of(waiting: Waiting[T]) -> T:
    """Wait without ticks."""
    try:
        while True:
            next(waiting)
    except StopIteration as end:
        result: T = end.value
        return result
