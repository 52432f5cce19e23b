"""From a stream of events to an HTTP answer that is sent as it comes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from flask import Response, g

from app.errors import note_bug
from app.extensions import config
from app.openai_service import ChatStream, Failed
from app.wire.answers import call_headers
from app.wire.encoder import Encoder


def stream_answer(stream: ChatStream, encoder: Encoder) -> Response:
    """Wait for the first bytes to tell, or one heartbeat's time, then answer with all that follows.

    Raises:
        UpstreamError: the call failed before that, so that its status can still be told.
    """
    body = _Body(stream, encoder, heartbeat_s=config().heartbeat_s, request_id=g.request_id)
    try:
        body.begin()
    except BaseException:
        stream.close()
        raise
    # Passed through as it is: each layer around a stream would be gone through for each of its tokens.
    response = Response(body, content_type=encoder.content_type, direct_passthrough=True)
    response.headers.extend([("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no")])
    if body.has_answer:
        response.headers.extend(call_headers(stream.record))
    return response


class _Body:
    """What the server iterates and then closes, also when it never began."""

    def __init__(self, stream: ChatStream, encoder: Encoder, *, heartbeat_s: float, request_id: str) -> None:
        self._stream = stream
        self._encoder = encoder
        self._heartbeat_s = heartbeat_s
        self._request_id = request_id
        self._start = b""
        self.has_answer = True
        """Whether a model has answered by the time the headers are sent."""

    def begin(self) -> None:
        """Wait for the first bytes; not every event is told in every format, and one that is not begins nothing.

        Raises:
            UpstreamError: the call failed before there were any.
        """
        begun = time.monotonic()
        for batch in self._stream:
            if batch and isinstance(batch[-1], Failed):
                raise batch[-1].error
            self._start = self._encoder.encode(batch) if batch else b""
            if self._start:
                return
            if self._encoder.heartbeat and time.monotonic() - begun >= self._heartbeat_s:
                self._start, self.has_answer = self._encoder.heartbeat, False
                return

    def __iter__(self) -> Iterator[bytes]:
        # No `request` or `g` in here: it runs when they are gone.
        encode, heartbeat, heartbeat_s = self._encoder.encode, self._encoder.heartbeat, self._heartbeat_s
        yield self._start
        written = time.monotonic()
        for batch in self._stream:
            if batch:
                if isinstance(batch[-1], Failed):
                    note_bug(batch[-1].error, self._request_id)
                data = encode(batch)
                if data:
                    yield data
                    written = time.monotonic()
                    continue
            # By the clock: what comes may be nothing that is told, such as reasoning, and for minutes.
            if heartbeat and time.monotonic() - written >= heartbeat_s:
                yield heartbeat
                written = time.monotonic()

    def close(self) -> None:
        self._stream.close()
