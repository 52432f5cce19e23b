"""OpenAIService: one public method an operation. It knows nothing of Flask, users or the database."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from app.config import Config
from app.openai_service.chat_stream import ChatStream
from app.openai_service.completion import read_completion
from app.openai_service.embeddings import read_embeddings
from app.openai_service.errors import ModelNotOffered, NotFilled
from app.openai_service.events import Usage
from app.openai_service.exchange import Exchange
from app.openai_service.extraction import InstanceChecker, UnfitAnswer, add_usage
from app.openai_service.policy import Policy, UpstreamCaller, result_of
from app.openai_service.recording import Listener, Recording
from app.openai_service.results import (
    CallRecord,
    ChatCall,
    ChatResult,
    EmbeddingResult,
    StructuredResult,
)

# How often a stream looks up from waiting: as late as this, at most, a heartbeat is.
_TICK_S = 1.0
_CHAT_PATH = "/chat/completions"
_EMBEDDINGS_PATH = "/embeddings"


class OpenAIService:
    """Every way in which this program calls the upstream.

    Each call leaves one CallRecord with each of the listeners.
    """

    def __init__(self, config: Config, client: UpstreamCaller, listeners: Sequence[Listener] = ()) -> None:
        self._config = config
        self._policy = Policy(config, client)
        self._listeners = tuple(listeners)

    def chat(self, call: ChatCall) -> ChatResult:
        """Answer a conversation in one piece.

        Raises:
            ModelNotOffered: the call names a model that this site does not offer.
            UpstreamRejected: it cannot be served as it is.
            UpstreamUnavailable: the upstream did not serve it.

        Source: https://platform.openai.com/docs/api-reference/chat/create
        """
        with self._recording(call.operation, call.model, call.request_id) as recording:
            record = recording.record
            body = self._chat_body(call, record)
            response = result_of(self._policy.send(_CHAT_PATH, body, self._exchange(), record))
            result = read_completion(response, record)
            recording.answered(finish_reason=result.finish_reason, usage=result.usage)
            return result

    def stream_chat(self, call: ChatCall) -> ChatStream:
        """Answer a conversation as it is written. Nothing is sent before the stream is iterated.

        Raises:
            ModelNotOffered: the call names a model that this site does not offer.
        """
        recording = self._recording(call.operation, call.model, call.request_id)
        body = self._chat_body(call, recording.record)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        exchange = self._exchange(tick_s=min(self._config.heartbeat_s, _TICK_S))
        return ChatStream(self._policy.send(_CHAT_PATH, body, exchange, recording.record), exchange, recording)

    def extract(self, call: ChatCall) -> StructuredResult:
        """Have the model fill a JSON schema, the one in the call's `response_format`, or any JSON object.

        An answer that does not fit is shown to the model once, with what is wrong with it.

        Raises:
            SchemaNotUsable: the schema itself is off.
            Refused, Truncated, ContentFiltered: the model would not or could not fill it.
            ModelNotOffered, UpstreamRejected, UpstreamUnavailable: as chat() does.

        Source: https://platform.openai.com/docs/guides/structured-outputs
        """
        checker = InstanceChecker(call.response_format)
        with self._recording(call.operation, call.model, call.request_id) as recording:
            record = recording.record
            body = self._chat_body(call, record)
            exchange = self._exchange()
            usage: Usage | None = None
            for is_last in (False, True):
                response = result_of(self._policy.send(_CHAT_PATH, body, exchange, record))
                result = read_completion(response, record)
                record.usage = usage = add_usage(usage, result.usage)
                try:
                    data = checker.read(result)
                except UnfitAnswer as unfit:
                    if is_last:
                        raise NotFilled from None
                    body["messages"] = [*body["messages"], *unfit.repair_messages(result.text)]
                    continue
                recording.answered(finish_reason=result.finish_reason, usage=usage)
                return StructuredResult(data, result.finish_reason, usage, result.model, result.id, record)
            raise AssertionError("the last round returns or raises")

    def embed(
        self,
        texts: Sequence[str],
        *,
        request_id: str,
        model: str | None = None,
        dimensions: int | None = None,
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
        with self._recording("embeddings", model, request_id) as recording:
            record = recording.record
            body: dict[str, Any] = {"model": record.model, "input": list(texts), "encoding_format": "float"}
            if dimensions is not None:
                body["dimensions"] = dimensions
            response = result_of(self._policy.send(_EMBEDDINGS_PATH, body, self._exchange(), record))
            vectors, usage, served = read_embeddings(response.content, len(texts))
            record.model = served or record.model
            recording.answered(finish_reason=None, usage=usage)
            return EmbeddingResult(vectors, usage, record.model, record)

    def _recording(self, operation: str, model: str | None, request_id: str) -> Recording:
        offered = self._config.models_offered(operation)
        if model is not None and model not in offered:
            raise ModelNotOffered(model)
        return Recording(CallRecord(request_id, operation, model or offered[0]), self._listeners)

    def _exchange(self, tick_s: float | None = None) -> Exchange:
        return Exchange(deadline=time.monotonic() + self._config.request_timeout_s, tick_s=tick_s)

    def _chat_body(self, call: ChatCall, record: CallRecord) -> dict[str, Any]:
        max_tokens = self._config.max_tokens
        if call.max_tokens is not None:
            if call.max_tokens > max_tokens:
                record.adjusted["maxTokens"] = str(max_tokens)
            max_tokens = min(call.max_tokens, max_tokens)
        optional = {
            "temperature": call.temperature,
            "tools": call.tools,
            "tool_choice": call.tool_choice,
            "response_format": call.response_format,
        }
        return {
            "model": record.model,
            "messages": call.messages,
            self._config.max_tokens_param: max_tokens,
        } | {name: value for name, value in optional.items() if value is not None}
