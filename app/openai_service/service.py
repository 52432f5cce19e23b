"""OpenAIService: one public method for each operation. It does not depend on Flask, users or the database."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import httpx2
import orjson

from app.config import ServiceSettings
from app.json_schema.optional_nulls import OriginalSchema
from app.models.token_counts import BY_NAME
from app.openai_service.batches.calls import CIRCUIT as BATCHES_CIRCUIT
from app.openai_service.cache import CacheStore
from app.openai_service.call_recording import CallRecording, Listener
from app.openai_service.chat.completion import read_completion
from app.openai_service.chat.input_window import InputWindow
from app.openai_service.chat.moderation import Moderator
from app.openai_service.chat.pipeline import ChatPipeline
from app.openai_service.chat.response_cache import ResponseCache
from app.openai_service.chat.shown_usage import show_result, show_usage
from app.openai_service.chat_call import ChatCall
from app.openai_service.context import CallContext, NullContext
from app.openai_service.embeddings.cache import EmbeddingCache, EmbeddingInput
from app.openai_service.embeddings.vectors import VectorJson, read_embeddings
from app.openai_service.resilience.breaker import CircuitState, KeyValueStore
from app.openai_service.resilience.drain import DrainPool
from app.openai_service.resilience.running import CallRunner
from app.openai_service.results import (
    CallRecord,
    ChatResult,
    EmbeddingResult,
    StructuredResult,
)
from app.openai_service.streaming.chat_stream import ChatStream
from app.openai_service.structured.checker import AnswerChecker
from app.openai_service.structured.streaming import get_structured_answer, stream_structured_answer
from app.openai_service.tools.executor import ToolExecutor
from app.openai_service.tools.loop import ToolLoop
from app.openai_service.transport.attribution import Attribution
from app.openai_service.transport.request import CachePlan, PendingRequest
from app.openai_service.transport.request_bodies import (
    CHAT_PATH,
    EMBEDDINGS_PATH,
    chat_body,
    embeddings_body,
    offered_model,
    streamed_fields,
)
from app.openai_service.transport.sender import SdkClient, Sender
from app.openai_service.transport.upstream import Upstream
from app.upstream_http.call_state import CallState

# The maximum time between two ticks. A heartbeat, or the check for a disconnected client, is late by at most this.
_TICK_S = 1.0
_NULL_CONTEXT = NullContext()


class OpenAIService:
    """All operations of the upstream, except batches.

    Each call passes one `CallRecord` to each listener, and propagates the errors of its `CallContext`.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        client: SdkClient,
        store: KeyValueStore,
        listeners: Sequence[Listener] = (),
        input_window: InputWindow | None = None,
        cache: CacheStore | None = None,
    ) -> None:
        self._settings = settings
        self._models = settings.models
        upstream = Upstream.from_settings(settings.upstream)
        self._tick_s = min(settings.heartbeat_s, _TICK_S)
        self._attribution = Attribution.from_settings(settings.attribution, upstream)
        self._sender = Sender(settings.sending, upstream, client, store)
        self._moderator = Moderator(settings.moderating, settings.sending, upstream, client, store, listeners)
        self._response_cache = ResponseCache(
            cache, settings.chat_cache, upstream, moderation=settings.moderating.mode
        )
        self._embedding_cache = EmbeddingCache(cache, settings.embedding_cache, upstream)
        self._drain_pool = DrainPool()
        self._runner = CallRunner(self._drain_pool)
        self._stream_drain_pool = self._drain_pool if settings.drains else None
        self._tool_executor = ToolExecutor(timeout_s=settings.tool_timeout_s)
        self._listeners = tuple(listeners)
        self._input_window = input_window
        self._token_counts = BY_NAME if input_window is None else input_window.token_counts

    def read_circuits(self) -> dict[tuple[str, str], CircuitState]:
        """Return the state of each circuit, by operation and model."""
        offered = dict(self._models.offered)
        if self._settings.moderating.mode != "off":
            offered["moderation"] = (self._settings.moderating.model,)
        pairs = {(operation, model): None for operation, models in offered.items() for model in models}
        pairs[BATCHES_CIRCUIT] = None
        return {pair: self._sender.breaker.read_state(":".join(pair)) for pair in pairs}

    def read_retry_budget(self) -> tuple[int, float]:
        """Return this process's number of recent retries, and its maximum."""
        return self._sender.retry_budget.read()

    def close(self) -> None:
        """Stop draining answers whose clients have disconnected."""
        self._drain_pool.close()

    def chat(self, call: ChatCall, *, caller: CallContext = _NULL_CONTEXT) -> ChatResult:
        """Answer a conversation, and return the complete answer.

        Raises:
            ModelNotOffered: the call requests a model that this site does not offer.
            UpstreamRejected: the upstream refused the request.
            UpstreamUnavailable: the upstream failed, or could not be reached.

        Source: https://platform.openai.com/docs/api-reference/chat/create
        """
        with self._record_call(call, caller) as recording:
            request = self._build_chat_request(call, recording.record)
            pipeline = self._build_pipeline(call, request, recording)
            if call.server_tools:
                ticks = self._build_tool_loop(call, request).run(self._sender)
            else:
                ticks = self._sender.send(request, read_completion)
            result = self._runner.run(pipeline.run(ticks), request, recording)
            recording.complete(finish_reason=result.finish_reason)
            return show_result(result)

    def stream_chat(self, call: ChatCall, *, caller: CallContext = _NULL_CONTEXT) -> ChatStream:
        """Stream the answer to a conversation. Nothing is sent before the stream is iterated.

        Raises:
            ModelNotOffered: the call requests a model that this site does not offer.
        """
        recording = self._record_call(call, caller)
        request = self._build_chat_request(call, recording.record, streamed=True)
        pipeline = self._build_pipeline(call, request, recording)
        if call.server_tools:
            ticks = self._build_tool_loop(call, request).stream(self._sender)
        else:
            ticks = self._sender.open_stream(request)
        return ChatStream(pipeline.stream(ticks), request.call_state, recording, self._stream_drain_pool)

    def structured(
        self, call: ChatCall, original: OriginalSchema | None = None, *, caller: CallContext = _NULL_CONTEXT
    ) -> StructuredResult:
        """Return a value that matches the JSON schema in the call's `response_format`, or any JSON object.

        If the answer does not match, the model gets the problem and one chance to repair it.

        Args:
            call: the conversation.
            original: the schema that the value must match, if it is not the one that is sent.
            caller: the context of the caller.

        Raises:
            SchemaNotUsable: the schema is invalid.
            SchemaMismatch: the repaired answer does not match either.
            Refused, Truncated, ContentFiltered: the model gave no complete answer.
            ModelNotOffered, UpstreamRejected, UpstreamUnavailable: as chat() does.

        Source: https://platform.openai.com/docs/guides/structured-outputs
        """
        checker = AnswerChecker(call.response_format, original)
        with self._record_call(call, caller) as recording:
            request = self._build_chat_request(call, recording.record)
            pipeline = self._build_pipeline(call, request, recording, original)
            ticks = get_structured_answer(self._sender, request, checker)
            result = self._runner.run(pipeline.run(ticks), request, recording)
            recording.complete(finish_reason=result.finish_reason)
            usage = show_usage(result.usage, recording.record)
            return result.to_structured(orjson.loads(result.text), usage)

    def stream_structured(
        self,
        call: ChatCall,
        original: OriginalSchema | None = None,
        *,
        as_text: bool = False,
        caller: CallContext = _NULL_CONTEXT,
    ) -> ChatStream:
        """Stream a value that matches a JSON schema while it grows. The arguments are those of structured(), and `as_text`.

        With `as_text`, the JSON text is streamed instead of parsed values, and cannot be repaired.

        Nothing is sent before the stream is iterated. Errors in the answer end the stream with `Failed`.

        Raises:
            SchemaNotUsable, ModelNotOffered: as structured() does.
        """
        checker = AnswerChecker(call.response_format, original)
        recording = self._record_call(call, caller)
        request = self._build_chat_request(call, recording.record, streamed=True)
        pipeline = self._build_pipeline(call, request, recording, original)
        ticks = stream_structured_answer(self._sender, request, checker, as_text=as_text)
        return ChatStream(
            pipeline.stream(ticks, is_structured=True), request.call_state, recording, self._stream_drain_pool
        )

    def embed(
        self,
        texts: Sequence[EmbeddingInput],
        *,
        request_id: str,
        model: str | None = None,
        dimensions: int | None = None,
        caller: CallContext = _NULL_CONTEXT,
    ) -> EmbeddingResult:
        """Turn texts into vectors of length 1, in the order given.

        Args:
            texts: 1 to 2,048 strings, or lists of tokens, each within the model's input limit in tokens.
            request_id: the id of the HTTP request.
            model: None for EMBEDDING_MODEL.
            dimensions: None for the model's default.
            caller: the context of the caller.

        Raises:
            ModelNotOffered, UpstreamRejected, UpstreamUnavailable: as chat() does.

        Source: https://platform.openai.com/docs/api-reference/embeddings
        """

        def read(response: httpx2.Response, record: CallRecord) -> list[VectorJson]:
            vectors, usage, served = read_embeddings(
                getattr(response, "spooled", None) or response.content, len(known.uncached)
            )
            record.model = served or record.model
            record.note_usage(usage)
            return vectors

        model = offered_model(self._models, "embeddings", model)
        with self._record("embeddings", model, request_id, caller) as recording:
            record = recording.record
            known = self._embedding_cache.look_up(caller.tenant, model, texts, dimensions)
            if known.uncached:
                if self._input_window is not None:
                    self._input_window.check_texts(known.uncached, model)
                body = embeddings_body(known.uncached, dimensions=dimensions)
                request = self._build_request(EMBEDDINGS_PATH, body, record)
                vectors = self._runner.run(self._sender.send(request, read), request, recording)
                known.add(vectors, record.model)
            else:
                recording.use_cached(known.model)
            recording.complete(finish_reason=None)
            return EmbeddingResult(known.vectors(), record.usage, record.model, record, known.cached_count)

    def _build_tool_loop(self, call: ChatCall, request: PendingRequest) -> ToolLoop:
        return ToolLoop(request, call.server_tools, self._tool_executor, steps_left=self._settings.tool_max_steps)

    def _record_call(self, call: ChatCall, caller: CallContext) -> CallRecording:
        model = offered_model(self._models, call.operation, call.model, is_pinned=call.model_is_pinned)
        return self._record(call.operation, model, call.request_id, caller)

    def _record(self, operation: str, model: str, request_id: str, caller: CallContext) -> CallRecording:
        return CallRecording(CallRecord(request_id, operation, model, caller=caller), self._listeners)

    def _build_request(
        self, path: str, body: dict[str, Any], record: CallRecord, adjusted: dict[str, str] | None = None
    ) -> PendingRequest:
        fallbacks = self._models.fallbacks[record.operation]
        if record.model in fallbacks:
            fallbacks = tuple(model for model in fallbacks if model != record.model)
        left_s = self._settings.request_timeout_s - record.caller.elapsed_s
        call_state = CallState(time.monotonic() + left_s, tick_s=record.caller.tick_s or self._tick_s)
        models = (record.model, *fallbacks)
        return PendingRequest(
            path, body, models, call_state, record, adjusted or {}, token_counts=self._token_counts
        )

    def _build_chat_request(self, call: ChatCall, record: CallRecord, *, streamed: bool = False) -> PendingRequest:
        body, adjusted = chat_body(self._models, call, max_tokens=record.caller.max_tokens)
        body |= self._attribution.build_fields(record.caller.pseudonym, call.prompt_version)
        if streamed:
            body |= streamed_fields(self._models)
        request = self._build_request(CHAT_PATH, body, record, adjusted)
        request.cache_plan = CachePlan.of(call)
        if self._input_window is not None:
            record.trimmed = self._input_window.trim(request, request.models)
        return request

    def _build_pipeline(
        self,
        call: ChatCall,
        request: PendingRequest,
        recording: CallRecording,
        original: OriginalSchema | None = None,
    ) -> ChatPipeline:
        entry = None
        # The results of tools are not part of the cache key.
        if call.may_be_cached and not call.server_tools and call.hosted is None:
            entry = self._response_cache.entry(request, original.schema if original else None)
        return ChatPipeline(self._moderator, entry, request, recording)
