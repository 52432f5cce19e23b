"""From a stream of events to an HTTP answer that is sent as it comes."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response

from app.errors import note_bug
from app.openai_service import ChatStream, Failed
from app.wire.answers import call_headers
from app.wire.encoder import Encoder


def stream_answer(stream: ChatStream, encoder: Encoder) -> Response:
    """Wait for the first events, or one heartbeat's time, then answer with all that follows.

    Raises:
        UpstreamError: the call failed before that, so that its status can still be told.
    """
    try:
        start = _start_of(stream, encoder)
    except BaseException:
        stream.close()
        raise
    # Passed through as it is: each layer around a stream would be gone through for each of its tokens.
    response = Response(_Body(start, stream, encoder), content_type=encoder.content_type, direct_passthrough=True)
    response.headers.extend([("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no")])
    if start != encoder.heartbeat:  # by then a model has answered
        response.headers.extend(call_headers(stream.record))
    return response


def _start_of(stream: ChatStream, encoder: Encoder) -> bytes:
    """The first bytes of the answer; b"" for one that has none in this format."""
    for batch in stream:
        if batch and isinstance(batch[-1], Failed):
            raise batch[-1].error
        # Not every event is told in every format, and what is not told has not begun the answer.
        data = encoder.encode(batch) if batch else encoder.heartbeat
        if data:
            return data
    return b""


class _Body:
    """What the server iterates and then closes, also when it never began."""

    def __init__(self, start: bytes, stream: ChatStream, encoder: Encoder) -> None:
        self._start = start
        self._stream = stream
        self._encoder = encoder

    def __iter__(self) -> Iterator[bytes]:
        # No `request` or `g` in here: it runs when they are gone.
        encode, heartbeat = self._encoder.encode, self._encoder.heartbeat
        yield self._start
        for batch in self._stream:
            if batch and isinstance(batch[-1], Failed):
                note_bug(batch[-1].error)
            data = encode(batch) if batch else heartbeat
            if data:
                yield data

    def close(self) -> None:
        self._stream.close()
