"""One HTTP/1.1 connection to the upstream: a socket, and llhttp (through httptools) to read answers.

Plain blocking calls with timeouts, so that it works alike under threads and under gevent.
"""

from __future__ import annotations

import socket
import ssl
import time

import httptools

_SMALL_READ = 16_384
_LARGE_READ = 262_144


class ConnectionEnded(OSError):
    """The upstream closed the connection before its answer was whole."""


class Connection:
    """A connection that carries one exchange after another.

    After `send()`, call `receive()` until `head_complete`, then until `complete`; `take_body()` hands
    over what has come of the body.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._timeout_s: float | None = sock.gettimeout()
        self._read_size = _SMALL_READ
        self.idle_since = 0.0
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers: list[tuple[bytes, bytes, bytes]] = []
        """Of the answer: each name as it came and in lower case, and its value."""
        self.head_complete = False
        self.complete = False
        self.keep_alive = False
        self.has_answered = False
        self.is_encoded = False
        self._is_framed = False
        self._missing_bytes: int | None = None
        self._body: list[bytes] = []

    def _set_timeout(self, timeout_s: float) -> None:
        self._sock.settimeout(timeout_s)
        self._timeout_s = timeout_s

    def is_usable(self) -> bool:
        """Whether an idle connection can carry another exchange: still open, and nothing unasked-for on it."""
        self._set_timeout(0.0)
        try:
            self._sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def send(self, request: bytes, timeout_s: float) -> None:
        """Send one whole request and make ready for its answer."""
        self._begin()
        self._set_timeout(timeout_s)
        self._sock.sendall(request)

    def receive(self, timeout_s: float) -> None:
        """Read what has arrived, waiting for it at most `timeout_s`.

        Raises:
            TimeoutError: nothing came; calling again goes on waiting.
            ConnectionEnded: the upstream closed before its answer was whole.
            httptools.HttpParserError: what came is not HTTP.
        """
        if timeout_s != self._timeout_s:  # each change costs a system call under threads
            self._set_timeout(timeout_s)
        data = self._sock.recv(self._read_size)
        if not data:
            if self.head_complete and not self._is_framed:
                self.complete = True  # without a length the end of the connection is the end of the body
                return
            raise ConnectionEnded
        if len(data) == self._read_size:
            self._read_size = _LARGE_READ
        self.has_answered = True
        if self._missing_bytes is not None:  # the rest of a body of known length needs no parser to copy it
            self._add_body(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not self.complete:
                raise
            self.keep_alive = False  # what came behind a whole answer is nobody's

    def take_body(self) -> bytes:
        """The body's bytes that have come since the last call, b"" if none."""
        body = self._body
        if not body:
            return b""
        data = body[0] if len(body) == 1 else b"".join(body)
        body.clear()
        return data

    def park(self) -> None:
        """Make ready to be kept idle."""
        self._read_size = _SMALL_READ
        self.idle_since = time.monotonic()

    def close(self) -> None:
        self._sock.close()

    # What httptools calls while it reads.

    def on_message_begin(self) -> None:
        if self.complete:
            self.keep_alive = False
            raise ConnectionEnded("more came than was asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, name.lower(), value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return
        for _, name, value in self.headers:
            if name == b"content-length":
                self._missing_bytes = int(value)
            self._is_framed |= name in (b"content-length", b"transfer-encoding")
            self.is_encoded |= name == b"content-encoding"
        self.keep_alive = self._parser.should_keep_alive()
        self.head_complete = True

    def on_body(self, data: bytes) -> None:
        if self._missing_bytes is None:
            self._body.append(data)
        else:
            self._add_body(data)

    def _add_body(self, data: bytes) -> None:
        self._body.append(data)
        self._missing_bytes = (self._missing_bytes or 0) - len(data)
        if self._missing_bytes < 0:
            self._body[-1] = data[: self._missing_bytes]
            self.keep_alive = False
        self.complete = self._missing_bytes <= 0

    def on_message_complete(self) -> None:
        if self.status < 200:  # 100 Continue, 103 Early Hints: the answer itself is yet to come
            self.headers.clear()
            return
        self.complete = True
