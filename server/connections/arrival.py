"""Limit how long a request may take to arrive, and how many connections and slow requests one address may have."""

from __future__ import annotations

import errno
import io
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gunicorn.http.body import Body
from gunicorn.http.errors import NoMoreData

from server.http.refusal_answers import Refusal, refuse

# The maximum pause within a request.
_MAX_PAUSE_S = 30.0
# A head usually fits into one packet; the body after it may be large.
_MAX_HEAD_S = 10.0
# A request that is still arriving after this time counts as a slow one.
_SLOW_AFTER_S = 2.0

_TIMEOUT = ("408 Request Timeout", "request_timeout", "The request did not arrive in time.")
_SLOW = (
    "429 Too Many Requests",
    "concurrency_limit",
    "Too many of your requests arrive slowly at the same time; try again shortly.",
)
_CROWDED = (
    "429 Too Many Requests",
    "concurrency_limit",
    "Your address has too many open connections; try again shortly.",
)


@dataclass(frozen=True)
class ArrivalLimits:
    """The limits of one worker.

    Attributes:
        request_s: the maximum time in which a request must arrive.
        idle_s: the maximum time that a connection waits for a request.
        connections: the maximum open connections of one address; None behind a proxy, whose address all clients share.
        slow_requests: the maximum slow requests of one address; None behind a proxy.
    """

    request_s: float
    idle_s: float
    connections: int | None
    slow_requests: int | None


class Arrivals:
    """The connections and slow requests of one worker, counted by address.

    Args:
        limits: of the worker.
        note_refusal: is called for each refused request with its id, the error, and a reason for the log.
    """

    def __init__(self, limits: ArrivalLimits, note_refusal: Callable[[str, Refusal, str], None]) -> None:
        self.limits = limits
        self.note_refusal = note_refusal
        self._lock = threading.Lock()
        self._connections: Counter[str] = Counter()
        self._slow_requests: Counter[str] = Counter()

    def admit(self, peer: Any) -> Arrival | None:
        """Count a new connection; return None if its address has too many."""
        address = _find_address(peer) if self.limits.connections is not None else None
        if not self._add(self._connections, address, self.limits.connections):
            return None
        return Arrival(self, address)

    def admit_slow(self, address: str | None) -> bool:
        """Count a slow request; return False if its address has too many."""
        return self._add(self._slow_requests, address, self.limits.slow_requests)

    def end_slow(self, address: str | None) -> None:
        """Stop counting a slow request."""
        self._remove(self._slow_requests, address)

    def end(self, address: str | None) -> None:
        """Stop counting a connection."""
        self._remove(self._connections, address)

    def _add(self, counter: Counter[str], address: str | None, limit: int | None) -> bool:
        if address is None or limit is None:
            return True
        with self._lock:
            if counter[address] >= limit:
                return False
            counter[address] += 1
        return True

    def _remove(self, counter: Counter[str], address: str | None) -> None:
        if address is None:
            return
        with self._lock:
            counter[address] -= 1
            if counter[address] <= 0:
                del counter[address]


class Arrival:
    """One connection, and how much of its current request has arrived. Times are those of `time.monotonic()`."""

    def __init__(self, arrivals: Arrivals, address: str | None) -> None:
        self._arrivals = arrivals
        self._address = address
        self._has_ended = False
        self.is_slow = False
        """Whether the request counts as a slow one of its address."""
        self.begun_at: float | None = None
        """When the first bytes of the request arrived; None before."""
        self.is_in_body = False
        self.is_answered = False
        """Whether the request has been answered. The rest of it is discarded."""

    def refuse(self, sock: Any, why: Refusal, reason: str) -> None:
        """Answer a request that does not reach the application, and log it."""
        self._arrivals.note_refusal(refuse(sock, why), why, reason)

    def expect_request(self) -> None:
        """Wait for a request from now on."""
        self.end_slow()
        self.begun_at = None
        self.is_in_body = self.is_answered = False

    def note_bytes(self) -> None:
        """Note that some bytes of the request have arrived."""
        if self.begun_at is None:
            self.begun_at = time.monotonic()

    def find_patience_s(self) -> float:
        """Return how long to wait for the next bytes before calling this again.

        Raises:
            TimeoutError: the request has not arrived in time.
            OSError: EUSERS: it is slow, and its address has too many slow requests.
        """
        begun_at, limits = self.begun_at, self._arrivals.limits
        if begun_at is None:
            return limits.idle_s
        age_s = time.monotonic() - begun_at
        left_s = (limits.request_s if self.is_in_body else min(_MAX_HEAD_S, limits.request_s)) - age_s
        if left_s <= 0:
            raise TimeoutError
        if self.is_slow:
            return left_s
        if age_s < _SLOW_AFTER_S:
            return min(left_s, _SLOW_AFTER_S - age_s)
        if not self._arrivals.admit_slow(self._address):
            raise OSError(errno.EUSERS, os.strerror(errno.EUSERS))
        self.is_slow = True
        return left_s

    def end(self) -> None:
        """End the connection. Further calls do nothing."""
        self.end_slow()
        if not self._has_ended:
            self._has_ended = True
            self._arrivals.end(self._address)

    def end_slow(self) -> None:
        """Stop counting the request as a slow one, if it is one."""
        if self.is_slow:
            self.is_slow = False
            self._arrivals.end_slow(self._address)


class ArrivedBody(io.BytesIO):
    """The body of a request that arrived completely with its head, as most do."""

    arrival: Arrival | None = None


class ArrivingBody(Body):  # type: ignore[misc]
    """The body of a request, which limits how long it takes to arrive.

    Once the application has read it, the request is not slow any more, however long the answer takes. A rest that the
    application does not read still belongs to the request: it uses up its time, and the next request begins after it.
    """

    # private API: buf and failed of gunicorn's Body, length, unreader and parser of its readers; guarded by tests/server/connections/test_arriving_requests.py

    def __init__(self, body: Body, arrival: Arrival) -> None:
        super().__init__(body.reader)
        self.arrival = arrival

    @property
    def is_read(self) -> bool:
        """Whether the application has read all of a body whose length is known."""
        return getattr(self.reader, "length", None) == 0 and not self.buf.tell() and not self.failed

    def getvalue(self) -> bytes:
        """Return the bytes that have arrived and are unread, without waiting, like the method of ArrivedBody."""
        return bytes(self.reader.unreader.buf.getvalue())

    def read(self, size: int | None = None) -> bytes:
        """Return up to `size` bytes."""
        data: bytes = super().read(size)
        if not data and self.arrival.is_answered:  # gunicorn has discarded the rest
            self.arrival.expect_request()
        elif self.arrival.is_slow and not getattr(self.reader, "length", None) and not _has_chunks(self.reader):
            self.arrival.end_slow()
        return data


def watch_body(body: Body | ArrivedBody, arrival: Arrival) -> ArrivingBody | ArrivedBody:
    """Return the body of a request, with limits on its arrival."""
    if not isinstance(body, ArrivedBody):
        return ArrivingBody(body, arrival)
    body.arrival = arrival
    return body


def _has_chunks(reader: Any) -> bool:
    """Return whether a body is chunked, and further chunks may follow."""
    return getattr(reader, "parser", None) is not None


class ArrivingSocket:
    """A mixin for the sockets of clients: each read has the remaining time of the request as its timeout.

    If a head is late, this class answers the client, as the request has not reached the application. If a body is
    late, the application gets the error: TimeoutError, or OSError with EUSERS.
    """

    arrival: Arrival | None = None

    def recv(self: Any, size: int, *flags: int) -> bytes:
        """Read a part of a request, or raise the errors described above. With flags, only call the base class."""
        arrival = self.arrival
        if flags or arrival is None:  # flags are only used to check whether the client is connected
            peeked: bytes = super().recv(size, *flags)  # type: ignore[misc]
            return peeked
        try:
            data = _wait_and_read(super().recv, self, arrival, size)  # type: ignore[misc]
        except OSError as error:
            if arrival.is_answered and error.errno == errno.EUSERS:
                raise TimeoutError from None  # gunicorn then closes the connection silently
            if arrival.is_in_body or error.errno not in (None, errno.EUSERS):
                raise
            if arrival.begun_at is not None:
                is_crowded = error.errno == errno.EUSERS
                arrival.refuse(self, *((_SLOW, "slow_requests") if is_crowded else (_TIMEOUT, "slow_head")))
            raise NoMoreData from None  # gunicorn then closes the connection
        arrival.note_bytes()
        return data

    def close(self) -> None:
        """End the connection."""
        if self.arrival is not None:
            self.arrival.end()
        super().close()  # type: ignore[misc]


def _wait_and_read(recv: Any, sock: Any, arrival: Arrival, size: int) -> bytes:
    own_timeout_s = sock.gettimeout()
    pause_ends_at = time.monotonic() + (own_timeout_s or _MAX_PAUSE_S)
    try:
        while True:
            patience_s = arrival.find_patience_s()
            sock.settimeout(min(patience_s, max(pause_ends_at - time.monotonic(), 0.001)))
            try:
                data: bytes = recv(size)
            except TimeoutError:
                if arrival.begun_at is None or time.monotonic() >= pause_ends_at:
                    raise
            else:
                return data
    finally:
        sock.settimeout(own_timeout_s)


def refuse_connection(sock: Any, arrivals: Arrivals) -> None:
    """Refuse and close a connection of an address that has too many."""
    sock.settimeout(0.0)
    arrivals.note_refusal(refuse(sock, _CROWDED), _CROWDED, "connections")
    sock.close()


def _find_address(peer: Any) -> str | None:
    """Return the address for which a connection is counted: for IPv6 the /64 network; None for a Unix socket."""
    if not isinstance(peer, tuple):
        return None
    host = str(peer[0]).partition("%")[0]
    if ":" not in host:
        return host
    packed = socket.inet_pton(socket.AF_INET6, host)
    if packed[:12] == b"\0" * 10 + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed[:8] + b"\0" * 8)
