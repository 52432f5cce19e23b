"""Record what a stream sends, so that the stream can be resumed, or replayed to a repeated request."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from flask import Response

from app.openai_service import Done, Events, Failed
from app.openai_service.resilience.drain import DrainPool
from app.runtime.store_guard import DatabaseUnavailable
from app.services import services
from app.storage.shared_state.replays import AnswerLog, AnswerStore
from app.storage.shared_state.replays.errors import AnswerLost, TooManyRunningAnswers
from app.web.call_context import name_current_user
from app.web.client_connection import Connection
from app.web.encoders.base import BrokenStream, Encoder
from app.web.replays.client import RecordedClient
from app.web.replays.holding import HoldingEncoder
from app.web.replays.idempotency import IdempotentRequest, select_stored_headers
from app.web.request_id import current_state
from app.web.schemas.fields import StreamFields

_ENDS: dict[type, str] = {Done: "complete", Failed: "failed"}


@dataclass(frozen=True, slots=True)
class Resumption:
    """How a stream can be resumed: by its id, and by the id of its conversation if the client sent one.

    Attributes:
        chat_id: the id of the conversation.
        is_numbered: whether events are numbered, so that a reader can continue after one; else it starts at the beginning.
        is_optional: whether the stream is sent even if it cannot be recorded.
    """

    chat_id: str | None = None
    is_numbered: bool = True
    is_optional: bool = False


def find_resumption(body: StreamFields) -> Resumption | None:
    """Return how the stream that a body requests can be resumed; None if the client did not ask for that."""
    return Resumption() if body.resumable else None


class RecordingEncoder:
    """An encoder that records what it encodes."""

    token_frame: ClassVar[None] = None

    def __init__(self, encoder: Encoder, log: AnswerLog, answers: AnswerStore) -> None:
        self.content_type = encoder.content_type
        self.heartbeat = encoder.heartbeat
        self._encoder = encoder
        self._log = log
        self._answers = answers
        self._idempotent: IdempotentRequest | None = None
        self._ended_as: str | None = None
        self._lost = b""
        """The event that tells readers that the stream broke off; empty if the format has no such event."""

    @property
    def is_running(self) -> bool:
        """Whether the stream is still recorded."""
        return self._log.is_running

    def open(
        self, response: Response, resumption: Resumption | None, idempotent: IdempotentRequest | None
    ) -> None:
        """Make the stream available to readers. Call this when its response is about to be sent."""
        if resumption is not None:
            response.headers["X-Stream-Id"] = self._log.id
        if idempotent is not None:
            self._idempotent = idempotent
            idempotent.is_streamed = True
        with suppress(BrokenStream):
            self._lost = copy.copy(self._encoder).encode([Failed(AnswerLost())])
        try:
            self._log.open(
                response.status_code,
                select_stored_headers(response),
                lost=self._lost.decode(),
                name=resumption.chat_id if resumption is not None else None,
            )
        except DatabaseUnavailable:
            self._log.abandon()
            response.headers.pop("X-Stream-Id", None)
        if self._ended_as is not None:
            self._settle_key()

    def encode(self, events: Events) -> bytes:
        """Return the bytes of the events, and record them."""
        log = self._log
        try:
            data = self._encoder.encode(events)
        except BrokenStream:
            self.end("failed")
            raise
        if log.is_numbered:
            data = log.number(data)
        if log.hold(data):
            self._flush()
        if (ended_as := _ENDS.get(type(events[-1]))) is not None:
            self.end(ended_as)
        return data

    def hold_tokens(self, wake: Callable[[], None]) -> HoldingEncoder:
        """Return an encoder that records tokens without waiting for the store. It calls `wake` when catch_up() is due."""
        return HoldingEncoder(self._encoder, self._log, wake)

    def catch_up(self) -> None:
        """Write the buffered events to the store, if that is due."""
        if self._log.is_due:
            self._flush()

    def _flush(self) -> None:
        with suppress(DatabaseUnavailable):  # the recording ends, but the client still gets its stream
            self._log.flush()

    def end(self, state: str) -> None:
        """Record how the stream ended. Later calls have no effect."""
        if self._ended_as is not None:
            return
        self._ended_as = state
        with suppress(DatabaseUnavailable):  # readers then see the stream end when its writer no longer renews it
            self._log.finish(state)
            self._answers.close(self._log)
        self._settle_key()

    def break_off(self) -> None:
        """Record that the stream broke off, with an event for later readers, unless it has already ended."""
        if self._ended_as is None:
            with suppress(DatabaseUnavailable):
                self._log.append(self._log.number(self._lost))
            self.end("failed")

    def _settle_key(self) -> None:
        """Record the outcome of the request. If its response has not begun, the hooks of init_idempotency() do it instead."""
        if self._idempotent is not None:
            with suppress(DatabaseUnavailable):
                self._idempotent.end(has_failed=self._ended_as == "failed")


@dataclass(frozen=True, slots=True)
class StreamRecording:
    """The recording of a request's stream.

    Attributes:
        encoder: replaces the encoder of the wire format.
        client: replaces the client's connection.
        unattended: reads streams whose client has left.
        resumption: how the stream can be resumed; None if it cannot.
        idempotent: the request, if it has an Idempotency-Key.
    """

    encoder: RecordingEncoder
    client: RecordedClient
    unattended: DrainPool
    resumption: Resumption | None
    idempotent: IdempotentRequest | None

    def open(self, response: Response) -> None:
        """Make the stream available to readers. Call this when its response is about to be sent."""
        self.encoder.open(response, self.resumption, self.idempotent)
        self.client.open()

    def adopt(self, rest: Iterator[bytes], finish: Callable[[], None]) -> bool:
        """Continue the stream without its client, for the log only. Return whether it continues."""
        return self.encoder.is_running and self.client.leave() and self.unattended.adopt(rest, finish)


def record_stream(
    encoder: Encoder, connection: Connection, resumption: Resumption | None
) -> StreamRecording | None:
    """Return the recording of the current request's stream; None if it is not recorded.

    Raises:
        TooManyRunningAnswers: too many resumable streams of the user are running.
        DatabaseUnavailable: the stream cannot be recorded.
    """
    idempotent: IdempotentRequest | None = current_state().idempotent
    if idempotent is None and resumption is None:
        return None
    built = services()
    settings = built.config
    try:
        log = built.answers.create(
            name_current_user(),
            ttl_s=settings.resume_keep_s if idempotent is None else settings.idempotency_keep_s,
            answer_id=idempotent.claim.answer_id if idempotent is not None else "",
            is_numbered=resumption is not None and resumption.is_numbered,
        )
    except (TooManyRunningAnswers, DatabaseUnavailable):
        if idempotent is None and resumption is not None and resumption.is_optional:
            return None
        raise
    linger_s = settings.resume_linger_s if idempotent is None else math.inf
    can_return = idempotent is not None or (resumption is not None and resumption.chat_id is not None)
    return StreamRecording(
        RecordingEncoder(encoder, log, built.answers),
        RecordedClient(
            connection,
            log,
            built.answers.watch(log),
            linger_s=linger_s,
            can_return=can_return,
            lifecycle=built.lifecycle,
        ),
        built.unattended_streams,
        resumption,
        idempotent,
    )
