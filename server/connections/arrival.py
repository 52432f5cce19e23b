"""Bound how long a request may take to arrive, and how many connections and slow requests one address may have."""

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

# The longest pause within a request.
_MAX_PAUSE_S = 30.0
# A head is one packet. The body that follows may be large.
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
        request_s: how long a request may take to arrive.
        idle_s: how long a connection may wait for a request.
        connections: how many open connections one address may have; None behind a proxy, which has only one address.
        slow_requests: how many slow requests one address may have; None as well.
    """

    request_s: float
    idle_s: float
    connections: int | None
    slow_requests: int | None


class Arrivals:
    """What arrives at one worker, by address.

    Args:
        limits: of the worker.
        note_refusal: is told what was refused: the request id, the error, and a word for the log.
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
        """Count a slow request; return whether its address may have it."""
        return self._add(self._slow_requests, address, self.limits.slow_requests)

    def end_slow(self, address: str | None) -> None:
        """End a slow request."""
        self._remove(self._slow_requests, address)

    def end(self, address: str | None) -> None:
        """End a connection."""
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
    """One connection, and how far its current request has arrived. Moments are those of `time.monotonic()`."""

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
        """Whether the request has been answered. What is still to come of it is thrown away."""

    def refuse(self, sock: Any, why: Refusal, reason: str) -> None:
        """Answer a request that no application gets to know of, and note it."""
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
        """Return how long the next bytes may be waited for, unless that must be asked again before.

        Raises:
            TimeoutError: the request's time is over.
            OSError: EUSERS: it is slow, and its address has too many slow ones.
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
        """End the connection. It may be called more than once."""
        self.end_slow()
        if not self._has_ended:
            self._has_ended = True
            self._arrivals.end(self._address)

    def end_slow(self) -> None:
        """Count the request as a slow one no longer, if it is one."""
        if self.is_slow:
            self.is_slow = False
            self._arrivals.end_slow(self._address)


class ArrivedBody(io.BytesIO):
    """The body of a request that came whole with its head, as most do: nothing has to be waited for."""

    arrival: Arrival | None = None


class ArrivingBody(Body):  # type: ignore[misc]
    """The body of a request.

    It is slow no longer once the application has read it, however long the answer takes. What the application leaves
    belongs to the request as well: its time goes on, and the next one's begins after it.
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
        """Return what has arrived and is not read, without waiting for more, as the method of ArrivedBody does."""
        return bytes(self.reader.unreader.buf.getvalue())

    def read(self, size: int | None = None) -> bytes:
        """Return up to so many bytes."""
        data: bytes = super().read(size)
        if not data and self.arrival.is_answered:  # gunicorn has thrown away what the application had not read
            self.arrival.expect_request()
        elif self.arrival.is_slow and not getattr(self.reader, "length", None) and not _has_chunks(self.reader):
            self.arrival.end_slow()
        return data


def watch_body(body: Body | ArrivedBody, arrival: Arrival) -> ArrivingBody | ArrivedBody:
    """Return the body of a request, watched while it arrives."""
    if not isinstance(body, ArrivedBody):
        return ArrivingBody(body, arrival)
    body.arrival = arrival
    return body


def _has_chunks(reader: Any) -> bool:
    """Return whether there may be more chunks of a body that is sent in them."""
    return getattr(reader, "parser", None) is not None


class ArrivingSocket:
    """What the socket of a client's connection adds to its class: each read has what is left of the request's time.

    In a head, the client gets the answer here, as no application knows of the request yet. In a body, the application
    gets the error: TimeoutError, or OSError with EUSERS.
    """

    arrival: Arrival | None = None

    def recv(self: Any, size: int, *flags: int) -> bytes:
        """Read a part of a request, or raise what is described above. With flags, read as the class does."""
        arrival = self.arrival
        if flags or arrival is None:  # with flags, somebody only looks whether the client is still there
            peeked: bytes = super().recv(size, *flags)  # type: ignore[misc]
            return peeked
        try:
            data = _wait_and_read(super().recv, self, arrival, size)  # type: ignore[misc]
        except OSError as error:
            if arrival.is_answered and error.errno == errno.EUSERS:
                raise TimeoutError from None  # gunicorn then closes the connection without a word
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
    """Answer a connection of an address that has too many, and close it."""
    sock.settimeout(0.0)
    arrivals.note_refusal(refuse(sock, _CROWDED), _CROWDED, "connections")
    sock.close()


def _find_address(peer: Any) -> str | None:
    """Return the address that a connection counts for, a network of 64 bits if it is IPv6; None for a Unix socket."""
    if not isinstance(peer, tuple):
        return None
    host = str(peer[0]).partition("%")[0]
    if ":" not in host:
        return host
    packed = socket.inet_pton(socket.AF_INET6, host)
    if packed[:12] == b"\0" * 10 + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed[:8] + b"\0" * 8)
