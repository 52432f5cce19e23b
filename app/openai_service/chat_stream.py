"""ChatStream: a streamed answer as the service hands it out, closed whatever happens."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import suppress

import httpx2

from app.openai_service.chunks import ChunkReader
from app.openai_service.errors import UpstreamError, UpstreamFailed, UpstreamTimeout
from app.openai_service.events import Batch, Failed
from app.openai_service.exchange import Exchange
from app.openai_service.policy import Waiting
from app.openai_service.recording import Recording
from app.openai_service.results import CallRecord

# How long the end of the body may lag behind `[DONE]` for its connection to be kept.
_LINGER_S = 0.25


class ChatStream:
    """Batches of events as they arrive; an empty one at each tick of waiting, and where nothing was to be told.

    The last event is Done or Failed. Always close() it.
    """

    def __init__(self, sending: Waiting[httpx2.Response], exchange: Exchange, recording: Recording) -> None:
        self._recording = recording
        self._batches = _batches(sending, exchange, recording)

    @property
    def record(self) -> CallRecord:
        return self._recording.record

    def __iter__(self) -> Iterator[Batch]:
        return self._batches

    def close(self) -> None:
        """End the call, also at the upstream, wherever it is."""
        self._batches.close()
        self._recording.finish()  # for a stream that was never begun


def _batches(
    sending: Waiting[httpx2.Response], exchange: Exchange, recording: Recording
) -> Generator[Batch, None, None]:
    with recording:
        try:
            while True:
                try:
                    next(sending)
                except StopIteration as sent:
                    response: httpx2.Response = sent.value
                    break
                yield []
            yield from _read(response, exchange, recording)
        except Exception as error:
            recording.failed(error)
            yield [Failed(error)]
        finally:
            sending.close()


def _read(response: httpx2.Response, exchange: Exchange, recording: Recording) -> Generator[Batch, None, None]:
    reader = ChunkReader()
    # The stream itself rather than iter_raw(), which would hide the empty chunks that mark ticks.
    body = iter(response.stream)  # type: ignore[arg-type]
    waits_since_ms: float | None = recording.elapsed_ms()
    try:
        for data in body:
            batch: Batch = []
            try:
                reader.feed(data, batch)
            except Exception:
                if batch:
                    yield batch  # what came before the fault is not lost
                raise
            if batch:
                if waits_since_ms is not None:
                    recording.answering(reader.model, waits_since_ms)
                    waits_since_ms = None
                if reader.is_done:
                    break
            yield batch
        else:
            batch = []
            try:
                reader.end(batch)
            except UpstreamError:
                if batch:
                    yield batch
                raise
        done = batch[-1]
        recording.answered(finish_reason=done.finish_reason, usage=done.usage)  # type: ignore[union-attr]
        yield batch
        exchange.deadline = min(exchange.deadline, time.monotonic() + _LINGER_S)
        with suppress(httpx2.TransportError):  # the answer is whole; only its connection is not
            while next(body, b""):
                pass
    except httpx2.TimeoutException:
        raise UpstreamTimeout from None
    except httpx2.TransportError:
        raise UpstreamFailed from None
    finally:
        response.close()
