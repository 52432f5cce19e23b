"""OpenAIService: one public method an operation. It knows nothing of Flask, users or the database."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, TypeVar

import httpx2
import orjson

from app.config import Config
from app.json_schema.optional_nulls import OriginalSchema
from app.openai_service.cache import CacheStore
from app.openai_service.call_recording import CallRecording, Listener
from app.openai_service.chat.completion import read_completion
from app.openai_service.chat.input_window import InputWindow
from app.openai_service.chat.moderation import Moderator
from app.openai_service.chat.pipeline import ChatPipeline
from app.openai_service.chat.response_cache import ResponseCache
from app.openai_service.context import CallContext, NullContext
from app.openai_service.embeddings.cache import EmbeddingCache
from app.openai_service.embeddings.vectors import VectorJson, read_embeddings
from app.openai_service.errors import CallerGone
from app.openai_service.resilience.breaker import KeyValueStore
from app.openai_service.resilience.drain import DrainPool
from app.openai_service.results import (
    CallRecord,
    ChatCall,
    ChatResult,
    EmbeddingResult,
    StructuredResult,
)
from app.openai_service.streaming.chat_stream import ChatStream
from app.openai_service.streaming.ticks import Ticks
from app.openai_service.structured.checker import AnswerChecker
from app.openai_service.structured.streaming import get_structured_answer, stream_structured_answer
from app.openai_service.tools.executor import ToolExecutor
from app.openai_service.tools.loop import ToolLoop
from app.openai_service.transport.request import PendingRequest
from app.openai_service.transport.request_bodies import (
    CHAT_PATH,
    EMBEDDINGS_PATH,
    STREAMED,
    chat_body,
    embeddings_body,
    offered_model,
)
from app.openai_service.transport.sender import Sender, UpstreamSender
from app.openai_service.transport.upstream import Upstream
from app.upstream_http.deadline import Exchange

T = TypeVar("T")

# How often a call looks up from waiting: as late as this, at most, a heartbeat is, or a visitor's leaving seen.
_TICK_S = 1.0
_NOBODY = NullContext()


class OpenAIService:
    """Every way in which this program calls the upstream.

    Each call leaves one CallRecord with each of the listeners, and may raise what its caller does.
    """

    def __init__(
        self,
        config: Config,
        client: UpstreamSender,
        store: KeyValueStore,
        listeners: Sequence[Listener] = (),
        input_limits: InputWindow | None = None,
        cache: CacheStore | None = None,
    ) -> None:
        self._config = config
        upstream = Upstream.from_config(config)
        self._asker = Sender(config.sending, upstream, client, store)
        self._moderator = Moderator(config.moderating, config.sending, upstream, client, store, listeners)
        self._answers = ResponseCache(cache, config.chat_cache, upstream, moderation=config.moderation)
        self._embeddings = EmbeddingCache(cache, config.embedding_cache, upstream)
        self._background = DrainPool() if config.disconnect_policy == "drain" else None
        self._tool_threads = ToolExecutor(timeout_s=config.tool_timeout_s)
        self._listeners = tuple(listeners)
        self._input_limits = input_limits

    def close(self) -> None:
        """End what goes on in the background."""
        if self._background is not None:
            self._background.close()

    def chat(self, call: ChatCall, *, caller: CallContext = _NOBODY) -> ChatResult:
        """Answer a conversation in one piece.

        Raises:
            ModelNotOffered: the call names a model that this site does not offer.
            UpstreamRejected: it cannot be served as it is.
            UpstreamUnavailable: the upstream did not serve it.

        Source: https://platform.openai.com/docs/api-reference/chat/create
        """
        with self._make_call_recording(call, caller) as recording:
            request = self._chat_request(call, recording.record)
            around = self._pipeline(call, request, recording)
            if call.server_tools:
                asking = self._tool_loop(call, request).run(self._asker)
            else:
                asking = self._asker.send(request, read_completion)
            result = self._wait_for(around.run(asking), request, recording)
            recording.answered(finish_reason=result.finish_reason)
            return result

    def stream_chat(self, call: ChatCall, *, caller: CallContext = _NOBODY) -> ChatStream:
        """Answer a conversation as it is written. Nothing is sent before the stream is iterated.

        Raises:
            ModelNotOffered: the call names a model that this site does not offer.
        """
        recording = self._make_call_recording(call, caller)
        request = self._chat_request(call, recording.record, streamed=True)
        around = self._pipeline(call, request, recording)
        if call.server_tools:
            asking = self._tool_loop(call, request).stream(self._asker)
        else:
            asking = self._asker.open_stream(request)
        return ChatStream(around.stream(asking), request.exchange, recording, self._background)

    def structured(
        self, call: ChatCall, original: OriginalSchema | None = None, *, caller: CallContext = _NOBODY
    ) -> StructuredResult:
        """Have the model fill a JSON schema, the one in the call's `response_format`, or any JSON object.

        An answer that does not fit is shown to the model once, with what is wrong with it.

        Args:
            original: what the value shall fit, if not the very schema that is sent.
        Raises:
            SchemaNotUsable: the schema itself is off.
            Refused, Truncated, ContentFiltered: the model would not or could not fill it.
            ModelNotOffered, UpstreamRejected, UpstreamUnavailable: as chat() does.

        Source: https://platform.openai.com/docs/guides/structured-outputs
        """
        checker = AnswerChecker(call.response_format, original)
        with self._make_call_recording(call, caller) as recording:
            request = self._chat_request(call, recording.record)
            around = self._pipeline(call, request, recording, original)
            asking = get_structured_answer(self._asker, request, checker)
            result = self._wait_for(around.run(asking), request, recording)
            recording.answered(finish_reason=result.finish_reason)
            return result.to_structured(orjson.loads(result.text), result.usage)

    def stream_structured(
        self, call: ChatCall, original: OriginalSchema | None = None, *, caller: CallContext = _NOBODY
    ) -> ChatStream:
        """Have the model fill a JSON schema, and tell the value as it grows. Args, and what is raised, as extract().

        Nothing is sent before the stream is iterated; what extract() raises of the answer ends it as Failed.
        """
        checker = AnswerChecker(call.response_format, original)
        recording = self._make_call_recording(call, caller)
        request = self._chat_request(call, recording.record, streamed=True)
        around = self._pipeline(call, request, recording, original)
        asking = stream_structured_answer(self._asker, request, checker)
        return ChatStream(around.stream(asking, is_structured=True), request.exchange, recording, self._background)

    def embed(
        self,
        texts: Sequence[str],
        *,
        request_id: str,
        model: str | None = None,
        dimensions: int | None = None,
        caller: CallContext = _NOBODY,
    ) -> EmbeddingResult:
        """Turn texts into vectors of length 1, in the order given.

        Args:
            texts: 1 to 2,048 strings, each within the model's input limit in tokens.
            model: None takes EMBEDDING_MODEL.
            dimensions: None takes the model's own number.
        Raises:
            ModelNotOffered, UpstreamRejected, UpstreamUnavailable: as chat() does.

        Source: https://platform.openai.com/docs/api-reference/embeddings
        """

        def read(response: httpx2.Response, record: CallRecord) -> list[VectorJson]:
            vectors, usage, served = read_embeddings(response.content, len(known.unknown))
            record.model = served or record.model
            record.note_usage(usage)
            return vectors

        model = offered_model(self._config, "embeddings", model)
        with self._make_recording("embeddings", model, request_id, caller) as recording:
            record = recording.record
            known = self._embeddings.look_up(caller.tenant, model, texts, dimensions)
            if known.unknown:
                body = embeddings_body(known.unknown, dimensions=dimensions)
                request = self._request(EMBEDDINGS_PATH, body, record)
                vectors = self._wait_for(self._asker.send(request, read), request, recording)
                known.add(vectors, record.model)
            else:
                recording.use_cached(known.model)
            recording.answered(finish_reason=None)
            return EmbeddingResult(known.vectors(), record.usage, record.model, record, known.found)

    def _tool_loop(self, call: ChatCall, request: PendingRequest) -> ToolLoop:
        return ToolLoop(request, call.server_tools, self._tool_threads, steps_left=self._config.tool_max_steps)

    def _make_call_recording(self, call: ChatCall, caller: CallContext) -> CallRecording:
        model = offered_model(self._config, call.operation, call.model, is_pinned=call.model_is_pinned)
        return self._make_recording(call.operation, model, call.request_id, caller)

    def _make_recording(self, operation: str, model: str, request_id: str, caller: CallContext) -> CallRecording:
        return CallRecording(CallRecord(request_id, operation, model, caller=caller), self._listeners)

    def _request(
        self, path: str, body: dict[str, Any], record: CallRecord, adjusted: dict[str, str] | None = None
    ) -> PendingRequest:
        models = (record.model, *self._config.fallbacks_for(record.operation, record.model))
        deadline = time.monotonic() + self._config.request_timeout_s
        exchange = Exchange(deadline, tick_s=min(self._config.heartbeat_s, _TICK_S))
        return PendingRequest(path, body, models, exchange, record, adjusted or {})

    def _chat_request(self, call: ChatCall, record: CallRecord, *, streamed: bool = False) -> PendingRequest:
        body, adjusted = chat_body(self._config, call, max_tokens=record.caller.max_tokens)
        if streamed:
            body |= STREAMED
        request = self._request(CHAT_PATH, body, record, adjusted)
        if self._input_limits is not None:
            record.trimmed = self._input_limits.trim(request, request.models)
        return request

    def _pipeline(
        self,
        call: ChatCall,
        request: PendingRequest,
        recording: CallRecording,
        original: OriginalSchema | None = None,
    ) -> ChatPipeline:
        place = None
        if call.may_be_cached and not call.server_tools:  # what these say is not of the request
            place = self._answers.entry(request, original.schema if original else None)
        return ChatPipeline(self._moderator, place, request, recording)

    def _wait_for(self, waiting: Ticks[T], request: PendingRequest, recording: CallRecording) -> T:
        """Wait for what is asked, and look after the visitor meanwhile."""
        background, is_left = self._background, False
        try:
            while True:
                try:
                    next(waiting)
                except StopIteration as end:
                    answer: T = end.value
                    return answer
                try:
                    if not is_left:
                        recording.record.caller.check()
                    elif background is None or background.is_closed:
                        raise CallerGone
                except CallerGone as gone:
                    if background is None or is_left or not background.acquire():
                        raise
                    is_left = True
                    recording.failed(gone)
                    request.exchange.abandon_after(background.MAX_DURATION_S)
        finally:
            waiting.close()
            if background is not None and is_left:
                background.release()
