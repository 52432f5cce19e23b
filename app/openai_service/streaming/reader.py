"""Reads streamed answers. The first events decide whether the attempt succeeded; the rest is read as it arrives."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import httpx2

from app.models.token_counts import Usage
from app.openai_service.errors import UpstreamError, UpstreamFailed, UpstreamTimeout
from app.openai_service.results import CallRecord
from app.openai_service.streaming.events import Events, estimate_tokens
from app.openai_service.streaming.passing import TokenRelay
from app.openai_service.streaming.ticks import Ticks
from app.upstream_http.call_state import CallState

# How long to wait for the end of the body after `[DONE]`, so that the connection can be reused.
_LINGER_S = 0.25
# How long to wait for bytes that the kernel already has, and the maximum time for counting them.
_ARRIVED_S = 0.001
_MAX_COUNTING_S = 0.1


class AnswerReader(Protocol):
    """Parses the bytes of one streamed answer: `ChunkReader`, or `ResponseReader` for /responses."""

    model: str
    chunks: int
    is_done: bool
    usage: Usage | None
    service_tier: str

    @property
    def hosted_calls(self) -> Mapping[str, int]:
        """The number of calls of hosted tools so far, by type."""

    def feed(self, data: bytes, events: Events) -> None:
        """Append to `events` the events that these bytes complete."""

    @property
    def text_frame(self) -> tuple[bytes, bytes]:
        """The bytes before and after the text of a text-only chunk; `TokenReader` describes them."""

    def read_tokens(self, data: bytes) -> Events:
        """Return the tokens of these bytes. If they contain anything else, return [] and consume nothing."""

    def end(self, events: Events) -> None:
        """Append the last events of a stream whose body has ended."""

    def usage_so_far(self) -> Usage | None:
        """Return the usage reported so far by an answer that has not ended, if any."""


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """A stream whose first events have arrived. The last event of `rest`, which must be closed, is Done.

    Attributes:
        token_relay: forwards tokens that arrive while a caller waits for `rest`, instead of yielding them. None if
            `rest` does more with a token than yield it.
    """

    model: str
    first: Events
    rest: Ticks[None]
    token_relay: TokenRelay | None = None


def open_answer(
    response: httpx2.Response,
    reader: AnswerReader,
    call_state: CallState,
    record: CallRecord,
    *,
    idle_timeout_s: float,
) -> Ticks[StreamedAnswer]:
    """Wait for the first events of an upstream answer.

    Raises:
        UpstreamError: the stream contains an error, is empty or truncated, or took longer than allowed.
    """
    token_relay = TokenRelay(reader, record.attempt_log[-1], call_state, idle_timeout_s=idle_timeout_s)
    stream = _read(response, reader, call_state, record, token_relay, idle_timeout_s)
    first = yield from _read_first(stream)
    return StreamedAnswer(reader.model, first, stream, token_relay)


def open_rounds(stream: Ticks[None], record: CallRecord) -> Ticks[StreamedAnswer]:
    """Wait for the first events of a stream that joins several upstream answers. Raises the stream's errors.

    Args:
        stream: the joined stream; closed if it raises.
        record: in which the stream sets the model that answers.
    """
    first = yield from _read_first(stream)
    return StreamedAnswer(record.model, first, stream)


def _read_first(stream: Ticks[None]) -> Ticks[Events]:
    """Wait for the first events of a stream, and close it if it raises."""
    try:
        for events in stream:
            if events:
                return events
            yield events
        raise AssertionError("a stream ends with an event or an error")
    except BaseException:
        stream.close()
        raise


def _read(
    response: httpx2.Response,
    reader: AnswerReader,
    call_state: CallState,
    record: CallRecord,
    token_relay: TokenRelay,
    idle_timeout_s: float,
) -> Ticks[None]:
    """Yield the events of the last attempt's answer, and complete the attempt."""
    attempt = record.attempt_log[-1]
    # Not iter_raw(), which drops the empty chunks that mark ticks.
    body = iter(response.stream)  # type: ignore[arg-type]
    try:
        try:
            yield from _read_events(body, reader, call_state, record, token_relay, idle_timeout_s)
        finally:
            token_relay.count()
        call_state.limit_wait(_LINGER_S)
        with suppress(httpx2.TransportError):  # the answer is complete; only the connection failed
            while next(body, b""):
                pass
    except GeneratorExit:
        if record.is_in_flight:
            _count_arrived(body, reader, call_state, record)
        raise
    except httpx2.TimeoutException:
        raise UpstreamTimeout from None
    except httpx2.TransportError:
        raise UpstreamFailed from None
    except UpstreamError as error:
        if error.is_generation_failure and error.billed_usage is not None:
            attempt.hosted_calls = reader.hosted_calls
            record.note_usage(error.billed_usage)
        raise
    finally:
        attempt.service_tier = reader.service_tier or attempt.service_tier
        if attempt.usage is None:
            attempt.usage = reader.usage_so_far()
            attempt.hosted_calls = reader.hosted_calls
        response.close()


def _read_events(
    body: Iterator[bytes],
    reader: AnswerReader,
    call_state: CallState,
    record: CallRecord,
    token_relay: TokenRelay,
    idle_timeout_s: float,
) -> Ticks[None]:
    """Yield the events of a body. Count their tokens before yielding, since the client may disconnect meanwhile."""
    attempt = record.attempt_log[-1]
    has_begun = False
    chunks_read = 0
    for data in body:
        token_relay.count()
        events: Events = []
        if not data:  # a tick
            yield events
            continue
        try:
            reader.feed(data, events)
        except Exception:
            if events:
                attempt.note_received(estimate_tokens(events))
                yield events  # events before the error are not lost
            raise
        if events:
            has_begun = True
            attempt.note_received(estimate_tokens(events))
        if reader.is_done:
            _note_end(reader, record)
        yield events
        if reader.is_done:
            return
        # Only chunks restart the idle timeout: a comment does not show that the model is at work. It restarts
        # after the yield, since the time that a slow client takes is not the upstream's.
        if has_begun and (events or reader.chunks != chunks_read):
            chunks_read = reader.chunks
            call_state.limit_wait(idle_timeout_s)
    events = []
    try:
        reader.end(events)
    except Exception:
        if events:
            attempt.note_received(estimate_tokens(events))
            yield events
        raise
    attempt.note_received(estimate_tokens(events))
    _note_end(reader, record)
    yield events


def _note_end(reader: AnswerReader, record: CallRecord) -> None:
    """Record the usage, hosted calls and service tier of a complete answer."""
    attempt = record.attempt_log[-1]
    attempt.service_tier = reader.service_tier or attempt.service_tier
    attempt.hosted_calls = reader.hosted_calls
    record.note_usage(reader.usage)


def _count_arrived(body: Iterator[bytes], reader: AnswerReader, call_state: CallState, record: CallRecord) -> None:
    """Count the tokens that have arrived but were not read, because a slow client lags behind the upstream."""
    call_state.tick_s = _ARRIVED_S
    until = time.monotonic() + _MAX_COUNTING_S
    # For the caller the answer ends here, so errors in the rest of it do not matter.
    with suppress(httpx2.TransportError, UpstreamError):
        while not reader.is_done and time.monotonic() < until and (data := next(body, b"")):
            events: Events = []
            try:
                reader.feed(data, events)
            finally:
                if events:
                    record.attempt_log[-1].note_received(estimate_tokens(events))
    if reader.is_done:
        _note_end(reader, record)
