"""One HTTP/1.1 connection to the upstream: a socket, and llhttp (through httptools) to parse responses.

Plain blocking calls with timeouts, which work under threads and under gevent.
"""

from __future__ import annotations

import socket
import ssl
import time

import httptools

from app.upstream_http.decoding import Decoder, UndecodableBody, decode, make_decoders
from app.upstream_http.heads import HeadParser
from app.upstream_http.keep_alive import USUAL_IDLE_S, read_idle_limit
from app.upstream_http.sending import SEND_BYTES, send_watched
from app.upstream_http.spool import SPOOL_BYTES, Spool, SpooledBytes

_SMALL_READ, _LARGE_READ = 16_384, 262_144
# The size of a body is not computed before it has this many parts.
_MIN_PARTS_OF_LARGE_BODY = 32
_SPOOL_STEP_BYTES = 1024 * 1024
# How long to read a response that the upstream sent before it reset the connection. The kernel has received it already.
_EARLY_RESPONSE_S = 1.0
_ENCODING_HEADERS = (b"content-encoding", b"content-length")


class ConnectionEnded(OSError):
    """The upstream closed the connection before its response was complete."""


class Connection:
    """A connection that carries one request after another.

    After `send()`, call `receive()` until `head_complete`, then until `complete`. `take_body()` returns what has arrived.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._timeout_s: float | None = sock.gettimeout()
        self._read_size = _SMALL_READ
        self._idle_limit_s = USUAL_IDLE_S
        self._was_idle = False
        self.expires_at = 0.0
        """When it becomes too old to be reused, in seconds of `time.monotonic()`."""
        self._begin()

    def _begin(self) -> None:
        self._heads = HeadParser(self)
        self.status = 0
        self.headers: list[tuple[bytes, bytes, bytes]] = []
        """The response's headers: each name as received and in lower case, and its value."""
        self.head_complete = self.complete = self.keep_alive = False
        self.has_sent = False
        """Whether any byte of the request may have reached the upstream."""
        self.has_answered = self._is_framed = False
        self._decoders: list[Decoder] = []
        self._failure: Exception | None = None
        self.is_between_chunks = False
        """Whether the parser is at the beginning of a chunk, set by relay_parts()."""
        self._missing_bytes: int | None = None
        self._body: list[bytes] = []
        self._spool: Spool | None = None

    def _set_timeout(self, timeout_s: float) -> None:
        self._sock.settimeout(timeout_s)
        self._timeout_s = timeout_s

    def unblock(self) -> socket.socket:
        """Make the socket non-blocking until the next call of another method, and return it."""
        self._set_timeout(0.0)
        return self._sock

    def is_usable(self) -> bool:
        """Return whether an idle connection can carry another request: open, and without unrequested data."""
        try:
            self.unblock().recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def send(self, request: bytes, timeout_s: float) -> None:
        """Send one request and reset the parser for its response.

        The upstream may answer before it has read the whole request. If it refuses, the rest is not sent, and the
        connection is not reused. If it resets the connection, a response that it sent before is still read.

        Raises:
            OSError: the request was not sent completely or not in time, and no response arrived.
            httptools.HttpParserError: the response is not HTTP.
        """
        self._begin()
        self._set_timeout(timeout_s)
        until = time.monotonic() + timeout_s
        try:
            sent = self._sock.send(request if len(request) <= SEND_BYTES else memoryview(request)[:SEND_BYTES])
            self.has_sent = True
            if sent < len(request):
                self._set_timeout(0.0)
                if not send_watched(self._sock, memoryview(request)[sent:], until, self._is_answered):
                    self.keep_alive = False
        except TimeoutError:
            raise
        except OSError:
            # If nothing was sent on a reused connection, received data is no response to this request.
            if (self._was_idle and not self.has_sent) or not self._has_early_response():
                raise

    def _is_answered(self) -> bool:
        """Read what has arrived of a response, and return whether the upstream needs no more of the request."""
        try:
            self.receive(0.0)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        return self.complete or (self.head_complete and self.status >= 300)

    def _has_early_response(self) -> bool:
        """Return whether a response began before the connection broke. Data in the kernel's buffer can still be read."""
        try:
            while not self.head_complete:
                self.receive(_EARLY_RESPONSE_S)
        except OSError:
            return False
        self.keep_alive = False
        return True

    def receive(self, timeout_s: float) -> None:
        """Read what has arrived; wait at most `timeout_s` for it.

        Raises:
            TimeoutError: nothing arrived; call again to continue waiting.
            ConnectionEnded: the upstream closed the connection before its response was complete.
            httptools.HttpParserError: the data is not HTTP. Valid data before it is in the body.
            UndecodableBody: the body is not compressed as the headers say.
        """
        if timeout_s != self._timeout_s:  # each change costs a system call under threads
            self._set_timeout(timeout_s)
        if self._failure is not None:
            raise self._failure
        try:
            data = self._sock.recv(self._read_size)
        except (ConnectionError, ssl.SSLEOFError):
            if not self._is_refusal:
                raise
            data = b""
        if len(data) == self._read_size:
            self._read_size = _LARGE_READ
        self.feed(data)

    def feed(self, data: bytes) -> None:
        """Parse received data; b"" is the end of the connection. Raises the errors of receive()."""
        if not data:
            if self._is_refusal or (self.head_complete and not self._is_framed):
                # Without a length, the end of the connection is the end of the body.
                self.complete, self.keep_alive = True, False
                return
            raise ConnectionEnded
        self.has_answered = True
        self.is_between_chunks = False
        if self._missing_bytes is not None:  # the rest of a body of known length needs no parser to copy it
            self.on_body(data)
            if self._decoders:
                self._check_end()
            return
        try:
            if self.head_complete:
                self._heads.parser.feed_data(data)
            else:
                self._heads.feed(data)
        except httptools.HttpParserError as error:
            self.keep_alive = False
            if self.complete:  # unrequested data after a complete response
                return
            self._fail(error)
        if self._decoders:
            self._check_end()

    def _check_end(self) -> None:
        """Fail if the body has ended before the end of its compressed data."""
        if self.complete and not self._is_refusal and any(decoder.is_truncated for decoder in self._decoders):
            self.complete = self.keep_alive = False
            self._fail(UndecodableBody("the compressed body has no end"))

    def _fail(self, error: Exception) -> None:
        """Raise an error. If a part of the body arrived before it, raise it after that part has been read."""
        if not self._body:
            raise error
        self._failure = error

    @property
    def _is_refusal(self) -> bool:
        """Whether the response is an error, whose body may be incomplete."""
        return self.head_complete and self.status >= 400

    @property
    def has_ended(self) -> bool:
        """Whether nothing more of the response can be read."""
        return self.complete or self._failure is not None

    def put_back(self, body: bytes) -> None:
        """Put back data that take_body() returned."""
        self._body.append(body)

    def take_body(self) -> bytes:
        """Return the bytes of the body that arrived since the last call; b"" if none."""
        body = self._body
        if not body:
            return b""
        data = body[0] if len(body) == 1 else b"".join(body)
        body.clear()
        return data

    def spool_large_body(self) -> None:
        """Move the received bytes of a large body to a file."""
        body, spool = self._body, self._spool
        if len(body) < (_MIN_PARTS_OF_LARGE_BODY if spool is None else 4):
            return
        if sum(map(len, body)) < (SPOOL_BYTES if spool is None else _SPOOL_STEP_BYTES):
            return
        if spool is None:
            spool = self._spool = Spool()
        spool.add(self.take_body())

    def take_spooled_body(self) -> SpooledBytes | None:
        """Return the complete body if it was moved to a file, else None."""
        spool, self._spool = self._spool, None
        if spool is None:
            return None
        spool.add(self.take_body())
        return spool.map()

    def park(self) -> None:
        """Prepare the connection for the pool."""
        self._read_size = _SMALL_READ
        self._was_idle = True
        self.expires_at = time.monotonic() + self._idle_limit_s

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()
        if self._spool is not None:
            self._spool.close()

    # Callbacks of httptools.

    def on_message_begin(self) -> None:
        """Refuse a second response."""
        if self.complete:
            self.keep_alive = False
            raise ConnectionEnded("a second response arrived")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        self.headers.append((name, name.lower(), value))

    def on_headers_complete(self) -> None:
        """Read the status, and determine from the headers how the body is framed."""
        self.status = self._heads.parser.get_status_code()
        if self.status < 200:
            return
        is_chunked = False
        for _, name, value in self.headers:
            if name == b"content-length":
                self._missing_bytes = int(value)
            is_chunked |= name == b"transfer-encoding"
            if name == b"content-encoding":
                self._decoders += make_decoders(value)
            if name == b"keep-alive":
                self._idle_limit_s = read_idle_limit(value, self._idle_limit_s)
        self._is_framed = is_chunked or self._missing_bytes is not None
        self.keep_alive = self._heads.parser.should_keep_alive()
        if is_chunked and self._missing_bytes is not None:
            self._missing_bytes, self.keep_alive = None, False
        if self._decoders:
            self.headers = [header for header in self.headers if header[1] not in _ENCODING_HEADERS]
        self.head_complete = True

    def on_body(self, data: bytes) -> None:
        """Add a part of the body."""
        missing = self._missing_bytes
        if missing is not None and len(data) > missing:
            data = data[:missing]
            self.keep_alive = False
        if self._decoders:
            self._body += decode(self._decoders, data)
        else:
            self._body.append(data)
        if missing is not None:
            self._missing_bytes = missing - len(data)
            self.complete = not self._missing_bytes

    def on_message_complete(self) -> None:
        """Mark the response as complete, unless it is an interim response."""
        if self.status < 200:  # 100 Continue, 103 Early Hints: the final response follows
            self.headers.clear()
            return
        self.complete = True
