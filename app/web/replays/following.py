"""Send the recorded answer of another request, complete or still growing: from its beginning, or after a given event."""

from __future__ import annotations

import time
from collections.abc import Iterator

from flask import Response, g, request

from app.auth.address import client_address
from app.limits.concurrency import StreamPermit
from app.openai_service.errors import CallerGone
from app.runtime.lifecycle import Draining
from app.runtime.store_guard import DatabaseUnavailable
from app.services import services
from app.storage.shared_state.replays import AnswerHead, AnswerReader
from app.storage.shared_state.replays.errors import AnswerTooLong, IdempotencyInDoubt
from app.web.client_connection import ClientConnection
from app.web.encoders.base import BrokenStream
from app.web.observation.bodies import ObservedBody
from app.web.request_id import add_headers

_POLL_S = 0.1
_CHECK_S = 1.0
# How long the store may be unavailable before a reader gives up.
_MAX_OUTAGE_S = 10.0
_HEARTBEAT = b": heartbeat\n\n"


def follow_answer(reader: AnswerReader, head: AnswerHead) -> Response:
    """Return a response with a recorded answer, streamed if the answer is still being written.

    Raises:
        IdempotencyInDoubt: the answer is no longer stored.
        AnswerTooLong: the answer was too long to store.
        ServerBusy, AccountConcurrencyExceeded: too many streams are running.
        DatabaseUnavailable: the answer cannot be read.
    """
    if head.is_running:
        body = _FollowedBody(reader, head)
        response = Response(body, status=head.status, direct_passthrough=True)
    else:
        data = reader.read_new(head)
        if head.state == "dropped":
            raise AnswerTooLong
        if data is None:
            raise IdempotencyInDoubt
        response = Response(data, status=head.status)
    response.headers.pop("Content-Type")
    add_headers(response, [(name, value) for name, value in head.headers])
    return response


class _FollowedBody(ObservedBody):
    """The body of a response that follows an answer while another request writes it."""

    def __init__(self, reader: AnswerReader, head: AnswerHead) -> None:
        built = services()
        self._reader = reader
        self._head = head
        accounts = built.limits.concurrent_streams(g.principal, client_address(request))
        self._permit: StreamPermit = built.concurrency_limit.acquire(accounts)
        self._connection = ClientConnection(request.environ.get("gunicorn.socket"), built.lifecycle)
        is_sse = any(
            value.startswith("text/event-stream") for name, value in head.headers if name == "Content-Type"
        )
        self._heartbeat = _HEARTBEAT if is_sse else b""
        self._heartbeat_s = built.config.heartbeat_s

    def __iter__(self) -> Iterator[bytes]:
        # Do not use `request` or `g` here: they no longer exist when this runs.
        wrote_at = read_at = time.monotonic()
        check_at = 0.0
        while True:
            now = time.monotonic()
            try:
                head = self._reader.read_head()
                data = self._reader.read_new(head) if head is not None else None
                read_at = now
                is_lost = data is None or head is None or head.state == "dropped"
                if not is_lost and now >= check_at:
                    check_at = now + _CHECK_S
                    is_lost = not self._check(head.is_running)  # type: ignore[union-attr]
            except DatabaseUnavailable:
                is_lost, head, data = now - read_at > _MAX_OUTAGE_S, self._head, b""
            except CallerGone:
                return
            except Draining:
                is_lost, data = True, data or b""
            if data:
                self.sent += len(data)
                yield data
                wrote_at = now
            if is_lost:
                yield self._encode_lost()
                return
            if head is not None and not head.is_running:
                if head.is_cut_off:
                    raise BrokenStream  # break off as the original stream did
                return
            if not data and self._heartbeat and now - wrote_at >= self._heartbeat_s:
                yield self._heartbeat
                wrote_at = now
            if not data:
                time.sleep(_POLL_S)

    def _check(self, is_running: bool) -> bool:
        """Check the client, and return whether the worker that writes the answer is alive or has completed it."""
        self._permit.renew()
        self._connection.check()
        self._reader.note_presence()
        if not is_running or self._reader.is_written():
            return True
        head = self._reader.read_head()  # it may have ended in the meantime
        return head is not None and not head.is_running

    def _encode_lost(self) -> bytes:
        if not self._head.lost:
            raise BrokenStream
        return self._head.lost.encode()

    def close(self) -> None:
        """Release the permit."""
        self._permit.release()
        self.notify_ended()
