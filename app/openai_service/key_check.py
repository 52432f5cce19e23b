"""Ask the upstream whether it takes each key, and which models it has: one request each, which costs nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial

import httpx2
import orjson

from app.config import ConnectionSettings
from app.openai_service.errors import UpstreamError
from app.openai_service.transport.sdk_client import build_client
from app.openai_service.transport.sdk_errors import TranslatedErrors
from app.upstream_http.call_state import CallState, Tick

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class KeyAnswer:
    """What the upstream said to one key.

    Attributes:
        number: of the key, from 1 on.
        error: why it did not answer with its models; None if it did.
        models: their names.
        clock_ahead_s: how far our clock is ahead of the upstream's; None if it does not tell the time.
    """

    number: int
    error: UpstreamError | None = None
    models: frozenset[str] = frozenset()
    clock_ahead_s: float | None = None


def ask_with_each_key(
    settings: ConnectionSettings, http_client: httpx2.Client | None = None
) -> Iterator[KeyAnswer]:
    """Yield the answer to GET /models of each key, in their order."""
    with build_client(settings, http_client) as first:
        for number, client in enumerate(first.keys.clients, 1):
            call_state = CallState(time.monotonic() + _TIMEOUT_S, tick_s=_TIMEOUT_S)
            try:
                with TranslatedErrors():
                    response = _wait(call_state, partial(client.send_json, "get", "/models"))
            except UpstreamError as error:
                yield KeyAnswer(number, error)
                continue
            finally:
                call_state.close_connection()
            yield KeyAnswer(
                number, None, _read_models(response.content), _compare_clocks(response.headers.get("date"))
            )


def _wait(call_state: CallState, send: Callable[[], httpx2.Response]) -> httpx2.Response:
    while True:
        try:
            return call_state.run(send)
        except Tick:
            continue


def _read_models(content: bytes) -> frozenset[str]:
    try:
        return frozenset(str(each["id"]) for each in orjson.loads(content)["data"])
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return frozenset()


def _compare_clocks(date: str | None) -> float | None:
    try:
        return time.time() - parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
