"""Reads streamed answers: first their first events, which decide whether the attempt succeeded, then the rest."""

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
from app.openai_service.streaming.passing import Passing
from app.openai_service.streaming.ticks import Ticks
from app.upstream_http.call_state import CallState

# How long to wait for the end of the body after `[DONE]`, so that the connection can be reused.
_LINGER_S = 0.25
# How long to wait for bytes that the kernel has already, and how long to go on counting them.
_ARRIVED_S = 0.001
_MAX_COUNTING_S = 0.1


class AnswerReader(Protocol):
    """Reads the bytes of one streamed answer: `ChunkReader`, or `ResponseReader` of /responses."""

    model: str
    chunks: int
    is_done: bool
    usage: Usage | None
    service_tier: str

    @property
    def hosted_calls(self) -> Mapping[str, int]:
        """The calls of tools that ran at the upstream so far, by type."""

    def feed(self, data: bytes, events: Events) -> None:
        """Append to `events` the events that these bytes complete."""

    @property
    def text_frame(self) -> tuple[bytes, bytes]:
        """What comes before and after the text of a chunk that has nothing else, as TokenReader describes it."""

    def read_tokens(self, data: bytes) -> Events:
        """Return the tokens of these bytes; none, and nothing is read, if there is anything else in them."""

    def end(self, events: Events) -> None:
        """Append the last events of a stream whose body has ended."""

    def usage_so_far(self) -> Usage | None:
        """Return what is known of the usage of an answer that has not come to its end."""


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """A stream whose first events have arrived. The last event of `rest`, which must be closed, is Done.

    Attributes:
        passing: passes on tokens that arrive while `rest` is waited for, instead of having them yielded. None if tokens
            are not all that `rest` makes of them.
    """

    model: str
    first: Events
    rest: Ticks[None]
    passing: Passing | None = None


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
    passing = Passing(reader, record.attempt_log[-1], call_state, idle_timeout_s=idle_timeout_s)
    stream = _read(response, reader, call_state, record, passing, idle_timeout_s)
    first = yield from _read_first(stream)
    return StreamedAnswer(reader.model, first, stream, passing)


def open_rounds(stream: Ticks[None], record: CallRecord) -> Ticks[StreamedAnswer]:
    """Wait for the first events of a stream that joins several upstream answers. Raises the stream's errors.

    Args:
        stream: closed if it raises.
        record: where the stream notes which model answers.
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
    passing: Passing,
    idle_timeout_s: float,
) -> Ticks[None]:
    """Read the answer to the last attempt."""
    attempt = record.attempt_log[-1]
    # Not iter_raw(), which drops the empty chunks that mark ticks.
    body = iter(response.stream)  # type: ignore[arg-type]
    try:
        try:
            yield from _read_events(body, reader, call_state, record, passing, idle_timeout_s)
        finally:
            passing.count()
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
    passing: Passing,
    idle_timeout_s: float,
) -> Ticks[None]:
    """Yield the events of a body. Count their tokens before they are yielded: the client may leave then."""
    attempt = record.attempt_log[-1]
    has_begun = False
    chunks_read = 0
    for data in body:
        passing.count()
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
    """Note what a complete answer has used, and the tier whose price it has."""
    attempt = record.attempt_log[-1]
    attempt.service_tier = reader.service_tier or attempt.service_tier
    attempt.hosted_calls = reader.hosted_calls
    record.note_usage(reader.usage)


def _count_arrived(body: Iterator[bytes], reader: AnswerReader, call_state: CallState, record: CallRecord) -> None:
    """Count what has arrived of an answer that nobody reads on: a slow client is behind its upstream."""
    call_state.tick_s = _ARRIVED_S
    until = time.monotonic() + _MAX_COUNTING_S
    # The answer ends here for its caller, whatever is wrong with the rest of it.
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
