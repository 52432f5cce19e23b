"""One keep-alive connection of the load client."""

import socket
import time
from collections.abc import Callable

import httptools

from bench.loop import Loop


class LoadError(Exception):
    """A server gave a wrong answer, or none."""


class Connection:
    """Sends a prepared request, and reports when the answer, or a part of it, has arrived.

    Subclasses say what to do with on_body (each piece as it comes) and on_message_complete: the parser calls
    both.
    """

    reopened = 0

    def __init__(self, loop: Loop, port: int, request: bytes) -> None:
        self._loop = loop
        self._port = port
        self._request = request
        self.sent_ns = 0
        self.is_busy = False
        self._is_fresh = False
        self._open()

    @property
    def status(self) -> int:
        """The status of the answer that is being read."""
        return self._parser.get_status_code()

    def send(self) -> None:
        """Send the request; the clock starts here."""
        if self._sock is None:
            self._open()
            Connection.reopened += 1
        self.is_busy = True
        self.sent_ns = time.monotonic_ns()
        self._sock.sendall(self._request)

    def close(self) -> None:
        """Close the connection."""
        if self._sock is not None:
            self._loop.forget(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def on_body(self, data: bytes) -> None:
        """Handle a piece of the answer's body."""

    def on_message_complete(self) -> None:
        """Handle the end of the answer."""

    def _open(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._sock: socket.socket | None = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop.watch(self._sock.fileno(), self._on_ready)

    def _on_ready(self, _events: int) -> None:
        try:
            data = self._sock.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self.close()
            if self.is_busy:
                raise LoadError("hung up before the answer was complete")
            return
        self._parser.feed_data(data)


class WholeAnswers(Connection):
    """Collects each answer, checks it, and reports how long it took."""

    def __init__(
        self,
        loop: Loop,
        port: int,
        request: bytes,
        *,
        check: Callable[[int, bytes], str | None],
        on_answer: Callable[["WholeAnswers", int], None],
    ) -> None:
        super().__init__(loop, port, request)
        self._check = check
        self._on_answer = on_answer
        self._body: list[bytes] = []

    def on_body(self, data: bytes) -> None:
        """Collect the piece."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Check the answer and report it."""
        took_ns = time.monotonic_ns() - self.sent_ns
        self.is_busy = False
        wrong = self._check(self.status, b"".join(self._body))
        self._body.clear()
        if wrong:
            raise LoadError(wrong)
        if not self._parser.should_keep_alive():
            self.close()
        self._on_answer(self, took_ns)
