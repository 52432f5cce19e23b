"""From a stream of events to an HTTP answer that is sent as it comes."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response

from app.errors import note_bug
from app.openai_service import Batch, ChatStream, Failed
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
        while not first and not encoder.heartbeat:  # with nothing to write yet, the status can wait as well
            first = next(batches)
    except BaseException:
        stream.close()
        raise
    # Passed through as it is: each layer around a stream would be gone through for each of its tokens.
    response = Response(_Body(first, stream, encoder), content_type=encoder.content_type, direct_passthrough=True)
    response.headers.extend([("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no")])
    if first:  # by then a model has answered
        response.headers.extend(call_headers(stream.record))
    return response


class _Body:
    """What the server iterates and then closes, also when it never began."""

    def __init__(self, first: Batch, stream: ChatStream, encoder: Encoder) -> None:
        self._first = first
        self._stream = stream
        self._encoder = encoder

    def __iter__(self) -> Iterator[bytes]:
        # No `request` or `g` in here: it runs when they are gone.
        encode, heartbeat = self._encoder.encode, self._encoder.heartbeat
        yield encode(self._first) or heartbeat
        for batch in self._stream:
            if batch and isinstance(batch[-1], Failed):
                note_bug(batch[-1].error)
            data = encode(batch) if batch else heartbeat
            if data:
                yield data

    def close(self) -> None:
        self._stream.close()
