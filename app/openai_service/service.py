"""OpenAIService: one public method an operation. It knows nothing of Flask, users or the database."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, TypeVar

import httpx2

from app.config import Config
from app.openai_service.asking import Asker, Question, UpstreamCaller
from app.openai_service.background import BackgroundReads
from app.openai_service.breaker import Store
from app.openai_service.caller import Caller, Nobody
from app.openai_service.chat_stream import ChatStream
from app.openai_service.completion import read_completion
from app.openai_service.embeddings import read_embeddings
from app.openai_service.errors import CallerGone, ModelNotOffered, NotFilled
from app.openai_service.events import Usage
from app.openai_service.exchange import Exchange
from app.openai_service.extraction import InstanceChecker, UnfitAnswer, add_usage
from app.openai_service.recording import Listener, Recording
from app.openai_service.results import (
    CallRecord,
    ChatCall,
    ChatResult,
    EmbeddingResult,
    StructuredResult,
)

T = TypeVar("T")

# How often a call looks up from waiting: as late as this, at most, a heartbeat is, or a visitor's leaving seen.
_TICK_S = 1.0
_CHAT_PATH = "/chat/completions"
_EMBEDDINGS_PATH = "/embeddings"
_NOBODY = Nobody()


class OpenAIService:
    """Every way in which this program calls the upstream.

    Each call leaves one CallRecord with each of the listeners, and may raise what its caller does.
    """

    def __init__(
        self, config: Config, client: UpstreamCaller, store: Store, listeners: Sequence[Listener] = ()
    ) -> None:
        self._config = config
        self._asker = Asker(config, client, store)
        self._background = BackgroundReads() if config.disconnect_policy == "drain" else None
        self._listeners = tuple(listeners)

    def close(self) -> None:
        """End what goes on in the background."""
        if self._background is not None:
            self._background.close()

    def chat(self, call: ChatCall, *, caller: Caller = _NOBODY) -> ChatResult:
        """Answer a conversation in one piece.

        Raises:
            ModelNotOffered: the call names a model that this site does not offer.
            UpstreamRejected: it cannot be served as it is.
            UpstreamUnavailable: the upstream did not serve it.

        Source: https://platform.openai.com/docs/api-reference/chat/create
        """
        with self._recording(call.operation, call.model, call.request_id, caller) as recording:
            question = self._chat_question(call, recording.record)
            result = self._answer_to(question, read_completion, recording)
            recording.answered(finish_reason=result.finish_reason, usage=result.usage)
            return result

    def stream_chat(self, call: ChatCall, *, caller: Caller = _NOBODY) -> ChatStream:
        """Answer a conversation as it is written. Nothing is sent before the stream is iterated.

        Raises:
            ModelNotOffered: the call names a model that this site does not offer.
        """
        recording = self._recording(call.operation, call.model, call.request_id, caller)
        question = self._chat_question(call, recording.record)
        question.body |= {"stream": True, "stream_options": {"include_usage": True}}
        return ChatStream(self._asker.stream(question), question.exchange, recording, self._background)

    def extract(self, call: ChatCall, *, caller: Caller = _NOBODY) -> StructuredResult:
        """Have the model fill a JSON schema, the one in the call's `response_format`, or any JSON object.

        An answer that does not fit is shown to the model once, with what is wrong with it.

        Raises:
            SchemaNotUsable: the schema itself is off.
            Refused, Truncated, ContentFiltered: the model would not or could not fill it.
            ModelNotOffered, UpstreamRejected, UpstreamUnavailable: as chat() does.

        Source: https://platform.openai.com/docs/guides/structured-outputs
        """
        checker = InstanceChecker(call.response_format)
        with self._recording(call.operation, call.model, call.request_id, caller) as recording:
            record = recording.record
            question = self._chat_question(call, recording.record)
            usage: Usage | None = None
            for is_last in (False, True):
                result = self._answer_to(question, read_completion, recording)
                record.usage = usage = add_usage(usage, result.usage)
                record.may_be_billed = usage is None
                try:
                    data = checker.read(result)
                except UnfitAnswer as unfit:
                    if is_last or question.exchange.is_unwanted:
                        raise NotFilled from None
                    # The one that answered: another one may have asked to be left alone.
                    question.models = question.models[question.models.index(record.models[-1]) :]
                    repair = unfit.repair_messages(result.text)
                    question.body["messages"] = [*question.body["messages"], *repair]
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
        caller: Caller = _NOBODY,
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

        def read(response: httpx2.Response, record: CallRecord) -> EmbeddingResult:
            vectors, usage, served = read_embeddings(response.content, len(texts))
            record.model = served or record.model
            return EmbeddingResult(vectors, usage, record.model, record)

        with self._recording("embeddings", model, request_id, caller) as recording:
            body: dict[str, Any] = {"input": list(texts), "encoding_format": "float"}
            if dimensions is not None:
                body["dimensions"] = dimensions
            question = self._question(_EMBEDDINGS_PATH, body, recording.record)
            result = self._answer_to(question, read, recording)
            recording.answered(finish_reason=None, usage=result.usage)
            return result

    def _recording(self, operation: str, model: str | None, request_id: str, caller: Caller) -> Recording:
        offered = self._config.models_offered(operation)
        if model is not None and model not in offered:
            raise ModelNotOffered(model)
        record = CallRecord(request_id, operation, model or offered[0], caller=caller)
        return Recording(record, self._listeners)

    def _question(
        self, path: str, body: dict[str, Any], record: CallRecord, adjusted: dict[str, str] | None = None
    ) -> Question:
        models = (record.model, *self._config.fallbacks(record.operation, record.model))
        deadline = time.monotonic() + self._config.request_timeout_s
        exchange = Exchange(deadline, tick_s=min(self._config.heartbeat_s, _TICK_S))
        return Question(path, body, models, exchange, record, adjusted or {})

    def _chat_question(self, call: ChatCall, record: CallRecord) -> Question:
        adjusted = {}
        max_tokens = self._config.max_tokens
        if record.caller.max_tokens is not None:
            max_tokens = min(max_tokens, record.caller.max_tokens)
        if call.max_tokens is not None:
            if call.max_tokens > max_tokens:
                adjusted["maxTokens"] = str(max_tokens)
            max_tokens = min(call.max_tokens, max_tokens)
        optional = {
            "temperature": call.temperature,
            "tools": call.tools,
            "tool_choice": call.tool_choice,
            "response_format": call.response_format,
        }
        body = {"messages": call.messages, self._config.max_tokens_param: max_tokens}
        body |= {name: value for name, value in optional.items() if value is not None}
        return self._question(_CHAT_PATH, body, record, adjusted)

    def _answer_to(
        self,
        question: Question,
        read: Callable[[httpx2.Response, CallRecord], T],
        recording: Recording,
    ) -> T:
        """Wait for a whole answer, and look after the visitor meanwhile."""
        background, is_left = self._background, False
        try:
            with closing(self._asker.ask(question, read)) as asking:
                while True:
                    try:
                        next(asking)
                    except StopIteration as end:
                        answer: T = end.value
                        return answer
                    try:
                        if not is_left:
                            recording.record.caller.watch()
                        elif background is None or background.is_closed:
                            raise CallerGone
                    except CallerGone as gone:
                        if background is None or is_left or not background.enter():
                            raise
                        is_left = True
                        recording.failed(gone)
                        question.exchange.end_within(background.LONGEST_S)
        finally:
            if background is not None and is_left:
                background.leave()
