"""One streamed answer: the upstream's bytes in, batches of events out, closed whatever happens."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2

from app.openai_service.chunks import ChunkReader
from app.openai_service.errors import UpstreamFailed, UpstreamTimeout, UpstreamTruncated
from app.openai_service.events import Batch
from app.openai_service.exchange import Exchange
from app.openai_service.sse import EventSplitter, EventTooLarge

# How long the end of the body may lag behind `[DONE]` for its connection to be kept.
_LINGER_S = 0.25


def read_events(response: httpx2.Response, reader: ChunkReader, exchange: Exchange) -> Iterator[Batch]:
    """Turn an answer's bytes into batches of the events that arrived together; Done is the last event.

    An empty batch says that a tick has passed and nothing came.

    Raises:
        UpstreamTruncated: the stream ended without saying that it was finished.
        UpstreamFailed, UpstreamTimeout: it broke, or the deadline passed.
        UpstreamError: it held an error object.
    """
    try:
        yield from _read(response, reader, exchange)
    except EventTooLarge:
        raise UpstreamFailed from None
    except httpx2.TimeoutException:
        raise UpstreamTimeout from None
    except httpx2.TransportError:
        raise UpstreamFailed from None
    finally:
        response.close()


def _read(response: httpx2.Response, reader: ChunkReader, exchange: Exchange) -> Iterator[Batch]:
    splitter = EventSplitter()
    # The stream itself rather than iter_raw(), which would hide the empty chunks that mark ticks.
    body = iter(response.stream)  # type: ignore[arg-type]
    for data in body:
        if not data:
            yield []
            continue
        batch: Batch = []
        try:
            for event_data in splitter.feed(data):
                batch += reader.read(event_data)
        except Exception:
            if batch:
                yield batch  # what came before the fault is not lost
            raise
        if reader.is_done:
            yield _with_end(batch, reader)
            exchange.tick_s = _LINGER_S
            while next(body, b""):
                pass
            return
        if batch:
            yield batch
    batch = [event for event_data in splitter.end() for event in reader.read(event_data)]
    yield _with_end(batch, reader)


def _with_end(batch: Batch, reader: ChunkReader) -> Batch:
    done = reader.done()
    if done is None:
        raise UpstreamTruncated
    return [*batch, done]
