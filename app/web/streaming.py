"""Send a stream of events to the client as a streamed response."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from flask import Response

from app.auth.address import client_address
from app.limits.concurrency import StreamPermit
from app.openai_service import CallContext, ChatCall, ChatStream, Events, Failed
from app.openai_service.errors import CallerGone
from app.openai_service.streaming.passing import TokenWriter
from app.runtime.lifecycle import Draining
from app.safety.reported_users import UserReported
from app.services import services
from app.upstream_http.relaying import Relay
from app.web.call_context import BilledContext, billed_context
from app.web.encoders.base import Encoder, PricedEncoder, RecordEncoder, TokenEncoder
from app.web.encoders.padding import Padding, get_padding
from app.web.errors import log_bug, problem_for
from app.web.observation.bodies import ObservedBody
from app.web.replays.client import RECORDED_CHECK_S, RECORDED_TICK_S, StreamStopped
from app.web.replays.recording import Resumption, StreamRecording, record_stream
from app.web.request_id import current_request, current_state
from app.web.responses import StreamedResponse, build_call_headers

# How often a stream checks its client and renews its permit. It is just below the tick of 1 s, so that each tick checks.
_CHECK_S = 0.9


def padding(field: str = "p") -> Padding:
    """Return the padding of stream events, as `STREAM_PADDING` sets it, in a field of this name."""
    return get_padding(services().config.stream_padding, field)


def stream_chat_response(call: ChatCall, encoder: Encoder, resumption: Resumption | None = None) -> Response:
    """Stream the answer to a conversation. The arguments and errors are those of stream_response()."""
    service = services().openai_service
    return stream_response(lambda caller: service.stream_chat(call, caller=caller), encoder, resumption)


def stream_with_record(call: ChatCall, encoder: RecordEncoder, resumption: Resumption | None = None) -> Response:
    """Stream the answer to a conversation in a format that has data of the call.

    The arguments and errors are those of stream_response().
    """
    service = services().openai_service

    def begin(caller: BilledContext) -> ChatStream:
        stream = service.stream_chat(call, caller=caller)
        encoder.record = stream.record
        return stream

    return stream_response(begin, encoder, resumption)


def stream_priced(
    call: ChatCall,
    encoder: PricedEncoder,
    resumption: Resumption | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> Response:
    """Stream the answer to a conversation in a format that includes its cost.

    The arguments and errors are those of stream_response().
    """
    service = services().openai_service

    def begin(caller: BilledContext) -> ChatStream:
        stream = service.stream_chat(call, caller=caller)
        encoder.read_cost = partial(caller.meter.compute_cost, stream.record)
        return stream

    return stream_response(begin, encoder, resumption, headers)


def stream_response(
    begin: Callable[[BilledContext], ChatStream],
    encoder: Encoder,
    resumption: Resumption | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> Response:
    """Wait for the first bytes, or for one heartbeat interval, then return a response that streams the rest.

    Args:
        begin: starts the stream for a caller.
        encoder: encodes the events in the wire format.
        resumption: how the stream can be resumed; None if it cannot.
        headers: further headers of the format. They are also sent to clients that resume or repeat the stream.

    Raises:
        ServerBusy: the server runs its maximum number of streams.
        AccountConcurrencyExceeded: an account runs its maximum number of streams.
        ModelNotOffered: the site does not offer the model.
        UpstreamError, CallerGone, Draining: the call ended before its first bytes, so an error status can be sent.
    """
    state, request = current_state(), current_request()
    caller = billed_context()
    recording = record_stream(encoder, caller.connection, resumption)
    if recording is not None:
        tick_s = min(RECORDED_TICK_S, services().config.heartbeat_s)
        encoder, caller = recording.encoder, replace(caller, connection=recording.client, tick_s=tick_s)
    built = services()
    try:
        stream = begin(caller)
        state.call_record = stream.record
        accounts = built.limits.concurrent_streams(state.principal, client_address(request))
        permit = built.concurrency_limit.acquire(
            accounts
        )  # if refused, the stream never starts and no record is written
    except BaseException:
        if recording is not None:
            recording.encoder.break_off()
        raise
    body = _StreamBody(stream, encoder, permit, caller, recording, heartbeat_s=built.config.heartbeat_s)
    body.open_relay = getattr(request.environ.get("gunicorn.socket"), "open_relay", None)
    try:
        body.begin()
    except BaseException as error:
        if isinstance(error, Draining | UserReported):
            stream.fail(error)
        body.close()
        raise
    named = [("Content-Type", encoder.content_type), ("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no")]
    about_call = build_call_headers(stream.record) if body.has_answer else []
    response = StreamedResponse.create(body, [*named, *headers, *about_call])
    if recording is not None:
        recording.open(response)
    return response


class _StreamBody(ObservedBody):
    """The body of a streamed response. The server iterates over it, then closes it, even if iteration never started."""

    def __init__(
        self,
        stream: ChatStream,
        encoder: Encoder,
        permit: StreamPermit,
        caller: CallContext,
        recording: StreamRecording | None,
        *,
        heartbeat_s: float,
    ) -> None:
        self._stream = stream
        self._request_id = stream.record.request_id
        self._encoder = encoder
        self._permit = permit
        self._caller = caller
        self._recording = recording
        """If the stream is recorded, it may continue after its client has disconnected."""
        self._heartbeat_s = heartbeat_s
        self._check_every_s = min(_CHECK_S if recording is None else RECORDED_CHECK_S, heartbeat_s)
        self._start = b""
        self._is_unattended = False
        self._written = 0
        self._written_at = 0.0
        self._relay: Relay | None = None
        self.open_relay: Callable[[], Relay] | None = None
        """Returns the server's relay for a response whose sending has begun; None if the server has no relay."""
        self.has_answer = True
        """Whether a model had answered when the headers were sent."""

    def begin(self) -> None:
        """Wait for the first bytes. Some events have none, as the format does not encode them.

        Raises:
            UpstreamError: the call failed before its first bytes.
            CallerGone, Draining: the call ended before its first bytes.
        """
        begun = time.monotonic()
        check_at = begun + self._check_every_s
        for events in self._stream:
            if events and isinstance(events[-1], Failed):
                raise events[-1].error
            self._start = self._encoder.encode(events) if events else b""
            if self._start:
                return
            now = time.monotonic()
            if self._encoder.heartbeat and now - begun >= self._heartbeat_s:
                self._start, self.has_answer = self._encoder.heartbeat, False
                return
            if now >= check_at:
                check_at = now + self._check_every_s
                self._check_client()

    def __iter__(self) -> Iterator[bytes]:
        # Do not use `request` or `g` here: they no longer exist when this runs.
        self._written = len(self._start)
        yield self._start
        self._written_at = time.monotonic()
        yield from self._send_rest(self._begin_relay())

    def _send_rest(self, relay: Relay | None = None) -> Iterator[bytes]:
        encode, heartbeat, heartbeat_s = self._encoder.encode, self._encoder.heartbeat, self._heartbeat_s
        check_at = self._written_at + self._check_every_s
        for events in self._stream:
            if relay is not None:
                self._catch_up(relay)
            data = b""
            if events:
                if isinstance(events[-1], Failed):
                    self.error_code = problem_for(events[-1].error).code
                    log_bug(events[-1].error, self._request_id)
                data = encode(events)
            now = time.monotonic()
            # Decide by the clock: events without bytes, such as reasoning, may arrive for minutes.
            if relay is not None:
                self._written_at = max(self._written_at, relay.written_at)
            if not data and now - self._written_at >= heartbeat_s:
                data = heartbeat
            if data:
                self._written += len(data)
                yield data
                self._written_at = now
            if now >= check_at:
                check_at = now + self._check_every_s
                try:
                    self._check_client()
                except (StreamStopped, Draining, UserReported) as error:
                    self._stream.fail(error)
                    self.error_code = error.code
                    yield encode([Failed(error)])
                    return
                except CallerGone:
                    return

    def _begin_relay(self) -> Relay | None:
        """Let the server's relay, if it has one, write tokens without waking this generator."""
        if self.open_relay is None:
            return None
        self._relay = relay = self.open_relay()
        encoder: TokenEncoder = self._encoder
        if self._recording is not None:
            encoder = self._recording.encoder.hold_tokens(relay.wake)

        def write(events: Events) -> None:
            if data := encoder.encode(events):
                relay.written_at = time.monotonic()
                relay.write(data)

        self._stream.relay_tokens(TokenWriter(relay, write, lambda: encoder.token_frame))
        return relay

    def _catch_up(self, relay: Relay) -> None:
        """Do the blocking work that the relay deferred: write to the store, and send what the client did not take.

        Raises the errors of the client's connection.
        """
        if self._recording is not None:
            self._recording.encoder.catch_up()
        if relay.unsent:
            relay.flush()

    def _check_client(self) -> None:
        self._permit.renew()
        self._caller.check()

    def close(self) -> None:
        """End the call and release the permit; or continue without the client, if the stream is recorded."""
        if self._is_unattended:
            return
        self.sent = self._written + (0 if self._relay is None else self._relay.written)
        if self._recording is not None:
            self._stream.stop_relaying()
            self._is_unattended = self._recording.adopt(self._send_rest(), self._finish)
        if not self._is_unattended:
            self._finish()

    def _finish(self) -> None:
        if self._recording is not None and self._recording.resumption is not None:
            # Its time to be resumed is over, so the rest of the answer is not read, whatever DISCONNECT_POLICY says.
            self._stream.fail(CallerGone())
        self._stream.close()
        self._permit.release()
        if self._recording is not None:
            self._recording.encoder.break_off()
        self.notify_ended()
