"""ResponseCache: caches complete answers by all parts of the request that determine them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from itertools import chain
from typing import Any

import orjson

from app.config import CacheSettings
from app.models.token_counts.estimates import without_unread
from app.openai_service.cache import NO_USAGE, Cache, CacheStore
from app.openai_service.results import CallRecord, ChatResult
from app.openai_service.streaming.events import Done, Parsed, Refusal, Token
from app.openai_service.streaming.reader import StreamedAnswer
from app.openai_service.streaming.ticks import Ticks
from app.openai_service.transport.request import PendingRequest
from app.openai_service.transport.request_bodies import STREAMED
from app.openai_service.transport.upstream import Upstream

_COMPLETE = ("stop", "tool_calls")


class ResponseCache:
    """A cache of answers, configured by CHAT_CACHE_ENTRIES and CHAT_CACHE_TTL_S."""

    def __init__(
        self, store: CacheStore | None, settings: CacheSettings, upstream: Upstream, *, moderation: str
    ) -> None:
        self._cache = Cache(store, upstream, "chat", settings)
        # Part of the key, so that an answer cached before moderation was turned on is not returned unchecked.
        self._moderation = moderation

    def entry(self, request: PendingRequest, original: Any = None) -> CacheEntry:
        """Return the cache entry of a request. Call it before the request's body is changed.

        Args:
            request: the request. Everything in it that determines the answer is part of the key.
            original: the schema that the value is checked against, if it is not the one that is sent.
        """
        model = request.models[0]
        body = {name: value for name, value in without_unread(request.body).items() if name not in STREAMED}
        key = self._cache.key(self._moderation, request.record.operation, model, original, body)
        return CacheEntry(self._cache, key, model, request.record)


class CacheEntry:
    """The cache entry of one request. The text of a structured answer is the JSON of its value."""

    def __init__(self, cache: Cache, key: bytes, model: str, record: CallRecord) -> None:
        self._cache = cache
        self._key = key
        self._model = model
        self._record = record

    def read(self) -> ChatResult | None:
        """Return the cached answer, if any, with a usage of zero."""
        value = self._cache.read(self._record.caller.tenant, [self._key]).get(self._key)
        if value is None:
            return None
        fields = orjson.loads(value)
        self._record.adjusted |= fields.pop("adjusted")
        return ChatResult(**fields, usage=NO_USAGE, refusal=None, record=self._record)

    def write(self, result: ChatResult) -> None:
        """Cache an answer if it is complete and from the requested model, not from a fallback."""
        is_requested_model = self._record.models[-1] == self._model
        if not is_requested_model or result.refusal or result.finish_reason not in _COMPLETE:
            return
        fields: dict[str, Any] = {
            "text": result.text,
            "finish_reason": result.finish_reason,
            "model": result.model,
            "id": result.id,
            "tool_calls": result.tool_calls,
            "adjusted": self._record.adjusted,
        }
        self._cache.write(self._record.caller.tenant, {self._key: orjson.dumps(fields)})

    def write_through(self, answer: StreamedAnswer) -> StreamedAnswer:
        """Return a stream of the same events that caches the answer once it is complete."""
        stream = self._cache_streamed(answer)
        return replace(answer, first=next(stream), rest=stream, token_relay=None)

    def _cache_streamed(self, answer: StreamedAnswer) -> Ticks[None]:
        pieces: list[str] = []
        refusal = ""
        with closing(answer.rest):
            for events in chain([answer.first], answer.rest):
                for event in events:
                    if type(event) is Token:
                        pieces.append(event.text)
                    elif type(event) is Parsed:
                        pieces = [orjson.dumps(event.data).decode()]  # the whole value, in place of its text
                    elif type(event) is Refusal:
                        refusal += event.text
                    elif type(event) is Done:
                        self._write_streamed(event, "".join(pieces), refusal)
                yield events

    def _write_streamed(self, done: Done, text: str, refusal: str) -> None:
        self.write(
            ChatResult(
                text=text,
                finish_reason=done.finish_reason,
                usage=done.usage,
                model=done.model,
                id=done.id,
                tool_calls=done.tool_calls,
                refusal=refusal or None,
                record=self._record,
            )
        )


def replay_cached(result: ChatResult, *, is_structured: bool) -> StreamedAnswer:
    """Return a cached answer as a stream of its events."""
    content = Parsed(orjson.loads(result.text)) if is_structured else Token(result.text)
    done = Done(
        result.finish_reason,
        result.usage,
        result.model,
        result.id,
        result.tool_calls,
        trimmed=result.trimmed,
        is_cached=True,
    )
    return StreamedAnswer(result.model, [content, done], _no_events())


def _no_events() -> Ticks[None]:
    yield from ()
