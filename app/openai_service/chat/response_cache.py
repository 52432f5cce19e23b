"""ResponseCache: answers of requests that may be answered as the very same request was before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import chain
from typing import Any

import orjson

from app.config import CacheSettings
from app.openai_service.cache import NO_USAGE, Cache, CacheStore
from app.openai_service.results import CallRecord, ChatResult
from app.openai_service.streaming.events import Done, Events, Parsed, Refusal, Token
from app.openai_service.streaming.reader import StreamedAnswer
from app.openai_service.streaming.ticks import Ticks
from app.openai_service.transport.request import PendingRequest
from app.openai_service.transport.request_bodies import STREAMED
from app.openai_service.transport.upstream import Upstream

_WHOLE = ("stop", "tool_calls")


class ResponseCache:
    """What CHAT_CACHE_ENTRIES and CHAT_CACHE_TTL_S say is kept."""

    def __init__(
        self, store: CacheStore | None, settings: CacheSettings, upstream: Upstream, *, moderation: str
    ) -> None:
        self._cache = Cache(store, upstream, "chat", settings)
        self._moderation = moderation  # what was let pass before it was turned on is looked at again

    def entry(self, request: PendingRequest, original: Any = None) -> CacheEntry:
        """Where the answer to a request is kept, which must not be changed before.

        Args:
            original: the schema that its value shall fit, if not the one that is sent.
        """
        model = request.models[0]
        body = {name: value for name, value in request.body.items() if name not in STREAMED}
        key = self._cache.key(self._moderation, request.record.operation, model, original, body)
        return CacheEntry(self._cache, key, model, request.record)


class CacheEntry:
    """The one place of one request's answer. Of one that fills a schema, the text is that of the value."""

    def __init__(self, cache: Cache, key: bytes, model: str, record: CallRecord) -> None:
        self._cache = cache
        self._key = key
        self._model = model
        self._record = record

    def read(self) -> ChatResult | None:
        """The answer, if it is there. It has used nothing."""
        value = self._cache.read(self._record.caller.tenant, [self._key]).get(self._key)
        if value is None:
            return None
        kept = orjson.loads(value)
        self._record.adjusted |= kept.pop("adjusted")
        return ChatResult(**kept, usage=NO_USAGE, refusal=None, record=self._record)

    def write(self, result: ChatResult) -> None:
        """Keep an answer that is whole, and the asked model's own: another one's would pass for it until it expires."""
        is_own = self._record.models[-1] == self._model
        if not is_own or result.refusal or result.finish_reason not in _WHOLE:
            return
        kept: dict[str, Any] = {
            "text": result.text,
            "finish_reason": result.finish_reason,
            "model": result.model,
            "id": result.id,
            "tool_calls": result.tool_calls,
            "adjusted": self._record.adjusted,
        }
        self._cache.write(self._record.caller.tenant, {self._key: orjson.dumps(kept)})

    def write_through(self, answer: StreamedAnswer) -> StreamedAnswer:
        """The same stream, which is kept when it has come to its end."""
        batches = self._copy_events(answer)
        return replace(answer, first=next(batches), rest=batches)

    def _copy_events(self, answer: StreamedAnswer) -> Ticks[None]:
        pieces: list[str] = []
        refusal = ""
        with closing(answer.rest):
            for batch in chain([answer.first], answer.rest):
                for event in batch:
                    if type(event) is Token:
                        pieces.append(event.text)
                    elif type(event) is Parsed:
                        pieces.append(orjson.dumps(event.data).decode())
                    elif type(event) is Refusal:
                        refusal += event.text
                    elif type(event) is Done:
                        self._write_streamed(event, "".join(pieces), refusal)
                yield batch

    def _write_streamed(self, end: Done, text: str, refusal: str) -> None:
        self.write(
            ChatResult(
                text=text,
                finish_reason=end.finish_reason,
                usage=end.usage,
                model=end.model,
                id=end.id,
                tool_calls=end.tool_calls,
                refusal=refusal or None,
                record=self._record,
            )
        )


def replay_cached(result: ChatResult, *, fills: bool) -> StreamedAnswer:
    """An answer that is there already, as a stream."""
    told: Events = [Parsed(orjson.loads(result.text))] if fills else [Token(result.text)]
    end = Done(
        result.finish_reason,
        result.usage,
        result.model,
        result.id,
        result.tool_calls,
        trimmed=result.trimmed,
        is_cached=True,
    )
    return StreamedAnswer(result.model, [*told, end], _no_events())


def _no_events() -> Ticks[None]:
    none: Iterator[Events] = iter(())
    yield from none
