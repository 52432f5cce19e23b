"""Moderator: has what is asked, and what is answered, looked at by OpenAI's moderation endpoint.

Source: https://platform.openai.com/docs/guides/moderation and https://platform.openai.com/docs/api-reference/moderations
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx2
import orjson

from app.config import ModerationSettings, SendSettings
from app.openai_service.call_recording import CallRecording, Listener
from app.openai_service.errors import (
    CallerGone,
    ContentFiltered,
    InvalidImage,
    UpstreamError,
    UpstreamFailed,
    UpstreamRejected,
)
from app.openai_service.resilience.breaker import KeyValueStore
from app.openai_service.results import CallRecord, ChatResult
from app.openai_service.streaming.ticks import Ticks
from app.openai_service.transport.request import PendingRequest
from app.openai_service.transport.sender import SdkClient, Sender
from app.openai_service.transport.upstream import Upstream
from app.upstream_http.call_state import CallState

# Of one request. It is far more than it takes, and the visitor waits for an answer meanwhile.
_MAX_S = 5.0
_MAX_ATTEMPTS = 2
# What is longer is looked at in pieces, as OpenAI advises; so many in one request.
_PIECE_CHARS = 2_000
_SHARED_CHARS = 200
_MAX_PIECES = 32
_PATH = "/moderations"
_CATEGORY = re.compile(r"[a-z/_-]{1,40}")

log = logging.getLogger(__name__)

Input = list[str] | list[dict[str, Any]]
"""Texts, or one image: with more than one, a request is refused."""


class Moderator:
    """Its requests cost nothing, so nobody is charged for them; each leaves a CallRecord of its own."""

    def __init__(
        self,
        settings: ModerationSettings,
        sending: SendSettings,
        upstream: Upstream,
        client: SdkClient,
        store: KeyValueStore,
        listeners: Sequence[Listener],
    ) -> None:
        self._settings = settings
        self._listeners = listeners
        self.checks_input = settings.of_input
        self.checks_output = settings.of_output
        # One of its own: its failures shall not use up the further attempts that answers may need.
        attempts = min(sending.max_attempts, _MAX_ATTEMPTS)
        self._asker = Sender(replace(sending, max_attempts=attempts), upstream, client, store)

    def check_input(self, request: PendingRequest) -> Ticks[None]:
        """Look at a conversation before it is sent: all of it, since all of it is what the caller says it was.

        Raises:
            ContentFiltered: it is flagged.
            InvalidImage: an image in it cannot be looked at.
            UpstreamFailed: it could not be looked at, and MODERATION_ON_FAILURE is `refuse`.
            CallerGone: its visitor has left meanwhile.
        """
        for some in _collect_inputs(request, own=self._settings.own_text):
            yield from self._check(some, request)
            if request.call_state.is_abandoned:
                raise CallerGone

    def check_output(self, result: ChatResult, request: PendingRequest) -> Ticks[None]:
        """Look at an answer before it is told. Raises as check_input() does."""
        for some in _group_requests(_collect_answer_texts(result)):
            if request.call_state.is_abandoned:  # nobody will be told
                return
            yield from self._check(some, request)

    def _check(self, some: Input, request: PendingRequest) -> Ticks[None]:
        record = request.record
        try:
            categories = yield from self._ask(some, request)
        except UpstreamError as error:
            if isinstance(error, UpstreamRejected) and not isinstance(some[0], str):
                # It is the image that cannot be used: a caller must not get past by sending such a one.
                raise InvalidImage from None
            if self._settings.refuses_on_failure:
                raise UpstreamFailed(upstream_code="moderation_failed") from None
            log.warning(
                "moderation.skipped", extra={"request_id": record.request_id, "reason": type(error).__name__}
            )
            return
        if categories is not None:
            log.info(
                "moderation.flagged",
                extra={"request_id": record.request_id, "categories": ",".join(categories) or None},
            )
            raise ContentFiltered(upstream_code="moderation_flagged")

    def _ask(self, some: Input, request: PendingRequest) -> Ticks[list[str] | None]:
        """The categories for which it is flagged; None where it is not."""
        call_state = CallState(
            min(request.call_state.deadline, time.monotonic() + _MAX_S), tick_s=request.call_state.tick_s
        )
        model = self._settings.model
        own = CallRecord(request.record.request_id, "moderation", model)
        asked = PendingRequest(_PATH, {"input": some}, (model,), call_state, own)
        try:
            with CallRecording(own, self._listeners) as recording:
                categories = yield from self._asker.send(asked, _read)
                recording.complete(finish_reason=None)
                return categories
        finally:
            request.record.upstream_ms += own.upstream_ms


def _read(response: httpx2.Response, record: CallRecord) -> list[str] | None:
    try:
        body = orjson.loads(response.content)
        results = body["results"]
        flagged = [result for result in results if _is_flagged(result)]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        raise UpstreamFailed from None
    if not results:
        raise UpstreamFailed
    record.model = body["model"] if isinstance(body.get("model"), str) else record.model
    return sorted({name for result in flagged for name in _flagged_categories(result)}) if flagged else None


def _is_flagged(result: Mapping[str, Any]) -> bool:
    is_flagged = result["flagged"]
    if not isinstance(is_flagged, bool):
        raise TypeError
    return is_flagged


def _flagged_categories(result: Mapping[str, Any]) -> list[str]:
    categories = result.get("categories")
    named = categories.items() if isinstance(categories, Mapping) else ()
    return [name for name, is_in_it in named if is_in_it is True and _CATEGORY.fullmatch(name)]


def _collect_inputs(request: PendingRequest, *, own: str) -> Iterator[Input]:
    """All texts and images of a conversation but the site's own prompt; tools and schemas have texts as well."""
    body = request.body
    texts = [orjson.dumps(body[name]).decode() for name in ("tools", "response_format") if name in body]
    for message in body["messages"]:
        content = message.get("content")
        if message["role"] == "system" and content == own:
            continue
        if isinstance(content, str):
            texts.append(content)
        elif content:
            texts += [part["text"] for part in content if part["type"] == "text"]
        texts += [call["function"]["arguments"] for call in message.get("tool_calls") or ()]
    yield from _group_requests(texts)
    yield from ([{"type": "image_url", "image_url": {"url": image.url}}] for image in request.images)


def _collect_answer_texts(result: ChatResult) -> list[str]:
    return [result.text, result.refusal or "", *(call["function"]["arguments"] for call in result.tool_calls)]


def _split_text(text: str) -> list[str]:
    """Each begins within the one before it, so that nothing is cut in two that is not longer than what they share."""
    last = max(1, len(text) - _SHARED_CHARS)
    return [text[at : at + _PIECE_CHARS] for at in range(0, last, _PIECE_CHARS - _SHARED_CHARS)]


def _group_requests(texts: Sequence[str]) -> Iterator[list[str]]:
    pieces = [piece for text in texts for piece in _split_text(text) if piece.strip()]
    for at in range(0, len(pieces), _MAX_PIECES):
        yield pieces[at : at + _MAX_PIECES]
