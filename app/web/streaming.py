"""From a stream of events to an HTTP answer that is sent as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from flask import Response, g, request

from app.auth.address import client_address
from app.limits.concurrency import StreamPermit
from app.openai_service import CallContext, ChatCall, ChatStream, Failed
from app.openai_service.errors import CallerGone
from app.runtime.lifecycle import Draining
from app.services import services
from app.web.call_context import billed_context
from app.web.encoders.base import Encoder
from app.web.errors import log_bug
from app.web.request_id import add_headers
from app.web.responses import build_call_headers

# How often a stream looks after its visitor, and renews its slot.
_LOOK_S = 1.0


def stream_chat_response(call: ChatCall, encoder: Encoder) -> Response:
    """Answer a conversation as it is written. Raises as stream_response() does."""
    service = services().openai_service
    return stream_response(lambda caller: service.stream_chat(call, caller=caller), encoder)


def stream_response(begin: Callable[[CallContext], ChatStream], encoder: Encoder) -> Response:
    """Wait for the first bytes to tell, or one heartbeat's time, then answer with all that follows.

    Raises:
        ServerBusy: as many run as may.
        ModelNotOffered: nothing was asked.
        UpstreamError, CallerGone, Draining: the call ended before that, so that its status can still be told.
    """
    caller = billed_context()
    stream = begin(caller)
    built = services()
    accounts = built.limits.concurrent_streams(g.principal, client_address(request))
    slot = built.concurrency_limit.acquire(accounts)  # or nothing was begun, and nothing is recorded
    body = _StreamBody(stream, encoder, slot, caller, heartbeat_s=built.config.heartbeat_s)
    try:
        body.begin()
    except BaseException as error:
        if isinstance(error, Draining):
            stream.fail(error)
        body.close()
        raise
    # Passed through as it is: each layer around a stream would be gone through for each of its tokens.
    response = Response(body, content_type=encoder.content_type, direct_passthrough=True)
    add_headers(response, [("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no")])
    if body.has_answer:
        add_headers(response, build_call_headers(stream.record))
    return response


class _StreamBody:
    """What the server iterates and then closes, also when it never began."""

    def __init__(
        self, stream: ChatStream, encoder: Encoder, slot: StreamPermit, caller: CallContext, *, heartbeat_s: float
    ) -> None:
        self._stream = stream
        self._request_id = stream.record.request_id
        self._encoder = encoder
        self._slot = slot
        self._caller = caller
        self._heartbeat_s = heartbeat_s
        self._look_every_s = min(_LOOK_S, heartbeat_s)
        self._start = b""
        self.has_answer = True
        """Whether a model has answered by the time the headers are sent."""

    def begin(self) -> None:
        """Wait for the first bytes; not every event is told in every format, and one that is not begins nothing.

        Raises:
            UpstreamError: the call failed before there were any.
        """
        begun = time.monotonic()
        look_at = begun + self._look_every_s
        for batch in self._stream:
            if batch and isinstance(batch[-1], Failed):
                raise batch[-1].error
            self._start = self._encoder.encode(batch) if batch else b""
            if self._start:
                return
            now = time.monotonic()
            if self._encoder.heartbeat and now - begun >= self._heartbeat_s:
                self._start, self.has_answer = self._encoder.heartbeat, False
                return
            if now >= look_at:
                look_at = now + self._look_every_s
                self._check_client()

    def __iter__(self) -> Iterator[bytes]:
        # No `request` or `g` in here: it runs when they are gone.
        encode, heartbeat, heartbeat_s = self._encoder.encode, self._encoder.heartbeat, self._heartbeat_s
        yield self._start
        written = time.monotonic()
        look_at = written + self._look_every_s
        for batch in self._stream:
            data = b""
            if batch:
                if isinstance(batch[-1], Failed):
                    log_bug(batch[-1].error, self._request_id)
                data = encode(batch)
            now = time.monotonic()
            # By the clock: what comes may be nothing that is told, such as reasoning, and for minutes.
            if not data and now - written >= heartbeat_s:
                data = heartbeat
            if data:
                yield data
                written = now
            if now >= look_at:
                look_at = now + self._look_every_s
                try:
                    self._check_client()
                except CallerGone:
                    return
                except Draining as error:
                    self._stream.fail(error)
                    yield encode([Failed(error)])
                    return

    def _check_client(self) -> None:
        self._slot.renew()
        self._caller.check()

    def close(self) -> None:
        self._stream.close()
        self._slot.release()
