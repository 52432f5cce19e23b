"""A client's connection: raw sockets, so that a client can disconnect, read slowly and abort at any time."""

import asyncio
import socket
import struct
import time
from dataclasses import dataclass

import httptools

from chaos.trace import BROKEN, HUNG, LEFT, UNUSED, WHOLE, ClientRequest

_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class ClientBehavior:
    """How a client behaves during one request.

    Attributes:
        leaves_after_s: when it disconnects, even without an answer.
        leaves_after_bytes: the size of the received answer at which it disconnects.
        leaves_rudely: whether it resets its connection instead of closing it.
        sends: the share of the request that it sends before it disconnects.
        dawdles_s: how long it reads very slowly.
    """

    leaves_after_s: float | None = None
    leaves_after_bytes: int | None = None
    leaves_rudely: bool = False
    sends: float = 1.0
    dawdles_s: float = 0.0


class Client:
    """One browser: a connection that is reused for further requests as long as the server keeps it open."""

    def __init__(self, port: int, *, patience_s: float) -> None:
        self._port = port
        self._patience_s = patience_s
        self._sock: socket.socket | None = None
        self._has_been_used = False

    def close(self, *, rudely: bool = False) -> None:
        """Close the connection."""
        if self._sock is not None:
            if rudely:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._sock.close()
            self._sock = None

    async def ask(self, request: ClientRequest, message: bytes, behavior: ClientBehavior) -> None:
        """Send a request and read its answer. The result is recorded in the request."""
        answer = _Answer(request)
        request.sent_at = time.monotonic()
        try:
            async with asyncio.timeout(self._patience_s):
                request.end = await self._exchange(request, answer, message, behavior)
        except TimeoutError:
            request.end = HUNG
        except OSError:
            request.end = BROKEN if answer.has_begun or not request.is_kept else UNUSED
        request.ended_at = time.monotonic()
        request.body = b"".join(answer.body)
        if request.end == WHOLE and answer.keeps_alive:
            self._has_been_used = True
        else:
            self.close(rudely=behavior.leaves_rudely)

    async def _exchange(
        self, request: ClientRequest, answer: "_Answer", message: bytes, behavior: ClientBehavior
    ) -> str:
        loop = asyncio.get_running_loop()
        request.is_kept = self._sock is not None and self._has_been_used
        try:
            sock = self._sock or await self._connect()
        except OSError:
            return UNUSED
        leaves_at = None if behavior.leaves_after_s is None else loop.time() + behavior.leaves_after_s
        try:
            async with asyncio.timeout_at(leaves_at):
                request.is_sent = behavior.sends == 1.0
                await loop.sock_sendall(sock, message[: int(len(message) * behavior.sends)])
                if behavior.sends < 1.0:
                    return LEFT
                if behavior.dawdles_s:
                    await self._dawdle(request, answer, behavior.dawdles_s)
                return await self._read(sock, answer, behavior)
        except TimeoutError:
            return LEFT

    async def _connect(self) -> socket.socket:
        sock = socket.socket()
        sock.setblocking(False)
        self._sock, self._has_been_used = sock, False
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._port))
        except BaseException:
            self.close()
            raise
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    async def _dawdle(self, request: ClientRequest, answer: "_Answer", seconds: float) -> None:
        assert self._sock is not None
        started = time.monotonic()
        while not answer.is_whole and time.monotonic() - started < seconds:
            data = await asyncio.get_running_loop().sock_recv(self._sock, 64)
            request.slow_s = time.monotonic() - started
            if not answer.feed(data):
                return
            await asyncio.sleep(0.05)

    async def _read(self, sock: socket.socket, answer: "_Answer", behavior: ClientBehavior) -> str:
        loop = asyncio.get_running_loop()
        while not answer.is_whole:
            if behavior.leaves_after_bytes is not None and answer.size >= behavior.leaves_after_bytes:
                return LEFT
            if answer.has_ended or not answer.feed(await loop.sock_recv(sock, 1 << 18)):
                return BROKEN if answer.has_begun or not answer.request.is_kept else UNUSED
        return WHOLE


class _Answer:
    """Reads an answer into a request."""

    def __init__(self, request: ClientRequest) -> None:
        self.request = request
        self.body: list[bytes] = []
        self.size = 0
        self.has_begun = False
        self.has_ended = False
        self.is_whole = False
        self.keeps_alive = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> bool:
        """Parse received data. Return False at the end of the connection."""
        if not data:
            self.has_ended = True
            return False
        self.has_begun = True
        self.size += len(data)
        self._parser.feed_data(data)
        return True

    # Callbacks of httptools.

    def on_header(self, name: bytes, value: bytes) -> None:
        self.request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.request.status = self._parser.get_status_code()
        self.keeps_alive = self._parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_message_complete(self) -> None:
        self.is_whole = True
