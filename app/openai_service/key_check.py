"""Checks that the upstream accepts each key, and lists its models, with requests that cost nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

import httpx2
import orjson

from app.config import ConnectionSettings
from app.openai_service.batches.client import BatchClient
from app.openai_service.errors import UpstreamError
from app.openai_service.transport.sdk_client import build_client
from app.openai_service.transport.sdk_errors import TranslatedErrors
from app.upstream_http.call_state import CallState, Tick

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """The result of checking one key.

    Attributes:
        number: the key's position in the settings, from 1.
        error: why the upstream did not list its models; None if it answered.
        is_list: whether the answer is a list of models. It may be a web page instead.
        models: the names of the models.
        can_chat: if there is no list, whether the chat route accepts the key; None if that was not tried.
        missing_path: if there is no list, the path to add to the base URL to get one.
        clock_ahead_s: how far our clock is ahead of the upstream's; None if its answer has no valid `Date` header.
    """

    number: int
    error: UpstreamError | None = None
    is_list: bool = False
    models: frozenset[str] = frozenset()
    can_chat: bool | None = None
    missing_path: str = ""
    clock_ahead_s: float | None = None


def check_each_key(settings: ConnectionSettings, http_client: httpx2.Client | None = None) -> Iterator[KeyCheck]:
    """Request GET /models with each key, and yield the results in the order of the keys."""
    is_azure = bool(settings.upstream.azure_endpoint)  # its chat route contains the name of a deployment
    with build_client(settings, http_client) as first:
        for number, client in enumerate(first.keys.clients, 1):
            error = None
            try:
                response = _send(client, "get", "/models")
            except UpstreamError as failure:
                error = failure
                if error.upstream_status is None:
                    yield KeyCheck(number, error)
                    continue
            else:
                ahead_s = _compare_clocks(response.headers.get("date"))
                models = _read_models(response.content)
                if models is not None:
                    yield KeyCheck(number, is_list=True, models=models, clock_ahead_s=ahead_s)
                    continue
            can_chat = None if is_azure else _can_chat(client)
            path = "" if is_azure or can_chat else _find_missing_path(client)
            yield KeyCheck(number, error, can_chat=can_chat, missing_path=path)


def _can_chat(client: BatchClient) -> bool:
    """Return whether an empty chat request is refused because it is empty, not because of the key or the route."""
    try:
        _send(client, "post", "/chat/completions", {})
    except UpstreamError as error:
        return error.upstream_status in (400, 422) and error.upstream_code != "invalid_api_key"
    return False  # a web server that answers every request


def _find_missing_path(client: BatchClient) -> str:
    try:
        response = _send(client, "get", "/v1/models")
    except UpstreamError:
        return ""
    return "/v1" if _read_models(response.content) else ""


def _send(client: BatchClient, method: str, path: str, body: dict[str, Any] | None = None) -> httpx2.Response:
    call_state = CallState(time.monotonic() + _TIMEOUT_S, tick_s=_TIMEOUT_S)
    try:
        with TranslatedErrors():
            return _wait(call_state, partial(client.send_json, method, path, body))
    finally:
        call_state.close_connection()


def _wait(call_state: CallState, send: Callable[[], httpx2.Response]) -> httpx2.Response:
    while True:
        try:
            return call_state.run(send)
        except Tick:
            continue


def _read_models(content: bytes) -> frozenset[str] | None:
    """Return the names in a list of models; None if the content is no such list."""
    try:
        return frozenset(str(each["id"]) for each in orjson.loads(content)["data"])
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return None


def _compare_clocks(date: str | None) -> float | None:
    try:
        return time.time() - parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
