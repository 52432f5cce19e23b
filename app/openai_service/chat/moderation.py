"""Moderator: checks conversations and answers with OpenAI's moderation endpoint.

Source: https://platform.openai.com/docs/guides/moderation and https://platform.openai.com/docs/api-reference/moderations
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx2
import orjson

from app.config import ModerationSettings, SendSettings
from app.models.token_counts.estimates import FileInput, ImageInput
from app.openai_service.answers.tool_calls import read_arguments
from app.openai_service.call_recording import CallRecording, Listener
from app.openai_service.context import FreeContext
from app.openai_service.errors import (
    CallerGone,
    ContentFiltered,
    InvalidImage,
    UpstreamError,
    UpstreamFailed,
    UpstreamRejected,
)
from app.openai_service.resilience.breaker import KeyValueStore
from app.openai_service.responses.generated_images import IMAGE_ITEM
from app.openai_service.results import CallRecord, ChatResult
from app.openai_service.streaming.ticks import Ticks
from app.openai_service.transport.request import PendingRequest
from app.openai_service.transport.sender import SdkClient, Sender
from app.openai_service.transport.upstream import Upstream
from app.upstream_http.call_state import CallState

# Limits of one moderation request. It usually takes much less time, and the user is waiting for the answer.
_MAX_S = 5.0
_MAX_ATTEMPTS = 2
# Longer texts are checked in overlapping pieces, as OpenAI advises, with at most `_MAX_PIECES` in one request.
_PIECE_CHARS = 2_000
_OVERLAP_CHARS = 200
_MAX_PIECES = 32
_PATH = "/moderations"
_CATEGORY = re.compile(r"[a-z/_-]{1,40}")

log = logging.getLogger(__name__)

Input = list[str] | list[dict[str, Any]]
"""Texts, or one image: the endpoint refuses several images in one request."""


class Moderator:
    """Checks texts and images. Its requests are free, so no caller is charged. Each request has its own CallRecord."""

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
        # A separate sender, so that failed moderation requests do not use up the retry budget of answers.
        attempts = min(sending.max_attempts, _MAX_ATTEMPTS)
        self._sender = Sender(sending._replace(max_attempts=attempts), upstream, client, store)

    def check_input(self, request: PendingRequest) -> Ticks[None]:
        """Check a whole conversation before it is sent, including earlier answers, which callers may have invented.

        Raises:
            ContentFiltered: the conversation is flagged.
            InvalidImage: the endpoint cannot read one of the images.
            UpstreamFailed: moderation failed, and MODERATION_ON_FAILURE is `refuse`.
            CallerGone: the client has disconnected.
        """
        for inputs in _collect_inputs(request, default_prompt=self._settings.own_text):
            yield from self._check(inputs, request)
            if request.call_state.is_abandoned:
                raise CallerGone

    def check_output(self, result: ChatResult, request: PendingRequest) -> Ticks[None]:
        """Check an answer before it is returned. Raises what check_input() raises."""
        for inputs in [*_group_requests(_collect_answer_texts(result)), *_collect_answer_images(result)]:
            if request.call_state.is_abandoned:  # the answer will not be sent
                return
            yield from self._check(inputs, request)

    def _check(self, inputs: Input, request: PendingRequest) -> Ticks[None]:
        record = request.record
        try:
            categories = yield from self._find_categories(inputs, request)
        except UpstreamError as error:
            if isinstance(error, UpstreamRejected) and not isinstance(inputs[0], str):
                # Never skip the check for an unreadable image: callers could evade moderation with it.
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

    def _find_categories(self, inputs: Input, request: PendingRequest) -> Ticks[list[str] | None]:
        """Return the categories for which the inputs are flagged; None if they are not flagged."""
        call_state = CallState(
            min(request.call_state.deadline, time.monotonic() + _MAX_S), tick_s=request.call_state.tick_s
        )
        model = self._settings.model
        caller = FreeContext(request.record.caller)
        record = CallRecord(request.record.request_id, "moderation", model, caller=caller)
        moderation_request = PendingRequest(_PATH, {"input": inputs}, (model,), call_state, record)
        try:
            with CallRecording(record, self._listeners) as recording:
                categories = yield from self._sender.send(moderation_request, _read)
                recording.complete(finish_reason=None)
                return categories
        finally:
            request.record.upstream_ms += record.upstream_ms


def _read(response: httpx2.Response, record: CallRecord) -> list[str] | None:
    try:
        body = orjson.loads(response.content)
        results = body["results"]
        flagged = [result for result in results if _is_flagged(result)]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        raise UpstreamFailed from None
    if not results:
        raise UpstreamFailed
    record.attempt_log[-1].complete(None)
    record.model = body["model"] if isinstance(body.get("model"), str) else record.model
    return sorted({name for result in flagged for name in _list_flagged_categories(result)}) if flagged else None


def _is_flagged(result: Mapping[str, Any]) -> bool:
    is_flagged = result["flagged"]
    if not isinstance(is_flagged, bool):
        raise TypeError
    return is_flagged


def _list_flagged_categories(result: Mapping[str, Any]) -> list[str]:
    categories = result.get("categories")
    flags = categories.items() if isinstance(categories, Mapping) else ()
    return [name for name, is_flagged in flags if is_flagged is True and _CATEGORY.fullmatch(name)]


def _collect_inputs(request: PendingRequest, *, default_prompt: str) -> Iterator[Input]:
    """Yield all texts and images of a request, including tools and schemas, but not the site's default prompt."""
    body = request.body
    texts = [orjson.dumps(body[name]).decode() for name in ("tools", "response_format") if name in body]
    for message in body["messages"]:
        content = message.get("content")
        if message["role"] == "system" and content == default_prompt:
            continue
        if isinstance(content, str):
            texts.append(content)
        elif content:
            texts += [part["text"] for part in content if part["type"] == "text"]
        texts += map(read_arguments, message.get("tool_calls") or ())
    # The endpoint accepts only texts and images, so a file is sent as its texts and images.
    files = [one.url for one in request.media if isinstance(one, FileInput)]
    texts += [file.text for file in files]
    yield from _group_requests(texts)
    urls = [one.url for one in request.media if isinstance(one, ImageInput)]
    for url in [*urls, *(url for file in files for url in file.images)]:
        yield [{"type": "image_url", "image_url": {"url": url}}]


def _collect_answer_texts(result: ChatResult) -> list[str]:
    return [result.text, result.refusal or "", *(call["function"]["arguments"] for call in result.tool_calls)]


def _collect_answer_images(result: ChatResult) -> Iterator[Input]:
    """Yield the images that were generated for an answer, each for a separate request."""
    for item in result.hosted_items:
        if item["type"] == IMAGE_ITEM and isinstance(image := item.get("result"), str):
            url = f"data:image/{item.get('output_format') or 'png'};base64,{image}"
            yield [{"type": "image_url", "image_url": {"url": url}}]


def _split_text(text: str) -> list[str]:
    """Split a text into overlapping pieces, so that any phrase shorter than the overlap is complete in one of them."""
    last = max(1, len(text) - _OVERLAP_CHARS)
    return [text[start : start + _PIECE_CHARS] for start in range(0, last, _PIECE_CHARS - _OVERLAP_CHARS)]


def _group_requests(texts: Sequence[str]) -> Iterator[list[str]]:
    pieces = [piece for text in texts for piece in _split_text(text) if piece.strip()]
    for start in range(0, len(pieces), _MAX_PIECES):
        yield pieces[start : start + _MAX_PIECES]
