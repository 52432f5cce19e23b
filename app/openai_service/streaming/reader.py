"""Reading a streamed answer: its first batch of events, which decides whether it is one, and then the rest."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import httpx2

from app.openai_service.errors import UpstreamFailed, UpstreamTimeout
from app.openai_service.results import CallRecord
from app.openai_service.streaming.chunks import ChunkReader
from app.openai_service.streaming.events import Events
from app.openai_service.streaming.ticks import Ticks
from app.upstream_http.call_state import CallState

# How long the end of the body may lag behind `[DONE]` for its connection to be kept.
_LINGER_S = 0.25


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """An answer that has begun. The last event of `rest`, which must be closed, is Done."""

    model: str
    first: Events
    rest: Ticks[None]


def open_answer(
    response: httpx2.Response, call_state: CallState, record: CallRecord, *, idle_timeout_s: float
) -> Ticks[StreamedAnswer]:
    """Wait for the first event of a stream.

    Raises:
        UpstreamError: it holds an error instead, or nothing, or ended, or the time allowed has passed.
    """
    reader = ChunkReader()
    batches = _read(response, reader, call_state, record, idle_timeout_s)
    first = yield from first_events(batches)
    return StreamedAnswer(reader.model, first, batches)


def first_events(batches: Ticks[None]) -> Ticks[Events]:
    """Wait for the first events of a stream. Raises what it does, and has closed it then."""
    try:
        for batch in batches:
            if batch:
                return batch
            yield batch
        raise AssertionError("the last batch has an event, or there is an error")
    except BaseException:
        batches.close()
        raise


def _read(
    response: httpx2.Response,
    reader: ChunkReader,
    call_state: CallState,
    record: CallRecord,
    idle_timeout_s: float,
) -> Ticks[None]:
    """Read the answer to the last attempt. What has come is noted before it is passed on: whoever gets it may leave."""
    attempt = record.attempt_log[-1]
    # The stream itself rather than iter_raw(), which would hide the empty chunks that mark ticks.
    body = iter(response.stream)  # type: ignore[arg-type]
    has_begun = False
    chunks_read = 0
    try:
        for data in body:
            batch: Events = []
            try:
                reader.feed(data, batch)
            except Exception:
                if batch:
                    attempt.received += len(batch)
                    yield batch  # what came before the fault is not lost
                raise
            has_begun = has_begun or bool(batch)
            attempt.received += len(batch)
            if reader.is_done:
                record.note_usage(reader.usage)
            yield batch
            if reader.is_done:
                break
            # By chunks: a comment is no sign that the model is at work. And not before what came has been told,
            # since the time that a slow visitor takes is not the upstream's.
            if has_begun and (batch or reader.chunks != chunks_read):
                chunks_read = reader.chunks
                call_state.limit_wait(idle_timeout_s)
        else:
            batch = []
            try:
                reader.end(batch)
            except Exception:
                if batch:
                    attempt.received += len(batch)
                    yield batch
                raise
            attempt.received += len(batch)
            record.note_usage(reader.usage)
            yield batch
        call_state.limit_wait(_LINGER_S)
        with suppress(httpx2.TransportError):  # the answer is whole; only its connection is not
            while next(body, b""):
                pass
    except httpx2.TimeoutException:
        raise UpstreamTimeout from None
    except httpx2.TransportError:
        raise UpstreamFailed from None
    finally:
        response.close()
