"""Keep what a stream sends while it is sent, so that it can be resumed, or given again to a repeated request."""

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
from app.storage.shared_state.replays.errors import AnswerLost, TooManyKeptAnswers
from app.web.call_context import name_current_user
from app.web.client_connection import Connection
from app.web.encoders.base import BrokenStream, Encoder
from app.web.replays.client import RecordedClient
from app.web.replays.holding import HoldingEncoder
from app.web.replays.idempotency import IdempotentRequest, kept_headers
from app.web.request_id import current_state
from app.web.schemas.fields import StreamFields

_ENDS: dict[type, str] = {Done: "complete", Failed: "failed"}


@dataclass(frozen=True, slots=True)
class Resumption:
    """How a stream may be resumed: by its id, and by the name of its conversation if the client gave it one.

    Attributes:
        chat_id: that name.
        is_numbered: whether a reader can say where it was; else it begins at the beginning.
        is_optional: whether the stream is sent all the same if it cannot be kept.
    """

    chat_id: str | None = None
    is_numbered: bool = True
    is_optional: bool = False


def find_resumption(body: StreamFields) -> Resumption | None:
    """Return how the stream of a body can be resumed: by its id, if the client wants that."""
    return Resumption() if body.resumable else None


class RecordingEncoder:
    """An encoder that keeps what it encodes."""

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
        """What tells readers that the stream breaks off here; empty if its format has nothing for that."""

    @property
    def is_running(self) -> bool:
        """Whether the stream goes on, and is kept."""
        return self._log.is_running

    def open(
        self, response: Response, resumption: Resumption | None, idempotent: IdempotentRequest | None
    ) -> None:
        """Let others find the stream, whose response is about to be sent."""
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
                kept_headers(response),
                lost=self._lost.decode(),
                name=resumption.chat_id if resumption is not None else None,
            )
        except DatabaseUnavailable:
            self._log.abandon()
            response.headers.pop("X-Stream-Id", None)
        if self._ended_as is not None:
            self._settle_key()

    def encode(self, events: Events) -> bytes:
        """Return the bytes of the events, and keep them."""
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
        """Return what does that with tokens without waiting for the store. It calls `wake` when it is time to catch up."""
        return HoldingEncoder(self._encoder, self._log, wake)

    def catch_up(self) -> None:
        """Write what was only held, if it is time to."""
        if self._log.is_due:
            self._flush()

    def _flush(self) -> None:
        with suppress(DatabaseUnavailable):  # the log gives up; the client has its stream
            self._log.flush()

    def end(self, state: str) -> None:
        """Note how the stream ended. Only the first time counts."""
        if self._ended_as is not None:
            return
        self._ended_as = state
        with suppress(DatabaseUnavailable):  # what is kept then ends with the life of its writer
            self._log.finish(state)
            self._answers.close(self._log)
        self._settle_key()

    def break_off(self) -> None:
        """Note that nothing more comes, and tell those who read later, unless the stream has an end of its own."""
        if self._ended_as is None:
            with suppress(DatabaseUnavailable):
                self._log.append(self._log.number(self._lost))
            self.end("failed")

    def _settle_key(self) -> None:
        """Note how the request ended. Without its response yet, init_idempotency() does it."""
        if self._idempotent is not None:
            with suppress(DatabaseUnavailable):
                self._idempotent.end(has_failed=self._ended_as == "failed")


@dataclass(frozen=True, slots=True)
class StreamRecording:
    """How the stream of a request is kept.

    Attributes:
        encoder: replaces that of the wire format.
        client: replaces the client's connection.
        unattended: reads streams whose client has left.
        resumption: how it may be resumed; None if it may not.
        idempotent: the request, if it has an Idempotency-Key.
    """

    encoder: RecordingEncoder
    client: RecordedClient
    unattended: DrainPool
    resumption: Resumption | None
    idempotent: IdempotentRequest | None

    def open(self, response: Response) -> None:
        """Let others find the stream, whose response is about to be sent."""
        self.encoder.open(response, self.resumption, self.idempotent)
        self.client.open()

    def adopt(self, rest: Iterator[bytes], finish: Callable[[], None]) -> bool:
        """Send the rest to the log only, as the client has left, if the stream goes on without it."""
        return self.encoder.is_running and self.client.leave() and self.unattended.adopt(rest, finish)


def record_stream(
    encoder: Encoder, connection: Connection, resumption: Resumption | None
) -> StreamRecording | None:
    """Return how the current request's stream is kept; None if nothing of it is.

    Raises:
        TooManyKeptAnswers: the user has too many resumable streams running.
        DatabaseUnavailable: nothing can be kept.
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
    except (TooManyKeptAnswers, DatabaseUnavailable):
        if idempotent is None and resumption is not None and resumption.is_optional:
            return None
        raise
    linger_s = settings.resume_linger_s if idempotent is None else math.inf
    has_name = idempotent is not None or (resumption is not None and resumption.chat_id is not None)
    return StreamRecording(
        RecordingEncoder(encoder, log, built.answers),
        RecordedClient(
            connection,
            log,
            built.answers.watch(log),
            linger_s=linger_s,
            has_name=has_name,
            lifecycle=built.lifecycle,
        ),
        built.unattended_streams,
        resumption,
        idempotent,
    )
