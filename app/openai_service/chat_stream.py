"""ChatStream: a streamed answer as the service hands it out."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import httpx2

from app.openai_service.chunks import ChunkReader
from app.openai_service.errors import UpstreamError
from app.openai_service.events import Batch, Done, Failed
from app.openai_service.exchange import Exchange
from app.openai_service.policy import Waiting
from app.openai_service.recording import Recording
from app.openai_service.results import CallRecord
from app.openai_service.streaming import read_events


class ChatStream:
    """Batches of events as they arrive, an empty batch at each tick of waiting. Always close() it.

    The last event is Done or Failed. An error before the first batch is raised instead, so that it can still
    become a status.
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
    has_begun = False
    with recording:
        try:
            while True:
                try:
                    next(sending)
                except StopIteration as sent:
                    response: httpx2.Response = sent.value
                    break
                has_begun = True
                yield []
            for batch in _recorded(response, exchange, recording):
                has_begun = True
                yield batch
        except UpstreamError as error:
            if not has_begun:
                raise
            recording.failed(error)
            yield [Failed(error)]
        finally:
            sending.close()


def _recorded(response: httpx2.Response, exchange: Exchange, recording: Recording) -> Iterator[Batch]:
    record = recording.record
    reader = ChunkReader()
    before_ms = recording.elapsed_ms()
    for batch in read_events(response, reader, exchange):
        if record.first_token_ms is None and batch:
            record.first_token_ms = recording.elapsed_ms()
            record.upstream_ms += record.first_token_ms - before_ms
            record.model = reader.model or record.model
        if batch and isinstance(batch[-1], Done):
            recording.answered(finish_reason=batch[-1].finish_reason, usage=batch[-1].usage)
        yield batch
