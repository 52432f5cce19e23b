"""From a stream of events to an HTTP answer that is sent as it comes."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response

from app.openai_service import Batch, ChatStream
from app.wire.answers import call_headers
from app.wire.encoder import Encoder


def stream_answer(stream: ChatStream, encoder: Encoder) -> Response:
    """Wait for the first events, or one heartbeat's time, then answer with all that follows.

    Raises:
        UpstreamError: the call failed before that, so that its status can still be told.
    """
    batches = iter(stream)
    try:
        first = next(batches)
    except BaseException:
        stream.close()
        raise
    response = Response(_body(first, batches, encoder), content_type=encoder.content_type)
    # Not in the generator's `finally`, which does not run for a body that is never begun.
    response.call_on_close(stream.close)
    response.headers.extend([("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no")])
    if first:  # by then a model has answered
        response.headers.extend(call_headers(stream.record))
    return response


def _body(first: Batch, rest: Iterator[Batch], encoder: Encoder) -> Iterator[bytes]:
    # No `request` or `g` in here: it runs when they are gone.
    yield encoder.encode(first) or encoder.heartbeat
    for batch in rest:
        data = encoder.encode(batch) if batch else encoder.heartbeat
        if data:
            yield data
