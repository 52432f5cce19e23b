"""RawServer: an upstream on a loopback socket that does, byte by byte, what a test tells it to."""

from __future__ import annotations

import json
import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.fakes.upstreams.strictness import refuse_request

READ = "read one request"
CLOSE = "close the connection"
RESET = "break the connection off"
HALF_CLOSE = "say that nothing more will be sent"
Step = bytes | float | threading.Event | str
"""Bytes are sent, a number is waited for in seconds, an event until it is set; the words above do what they say."""


def answer(body: Any, *headers: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    """A whole answer with a Content-Length."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"HTTP/{version} {status}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


def chunked(*pieces: bytes) -> list[bytes]:
    """A whole answer in chunks: its head, then each piece, then the end."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [head, *[b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces], b"0\r\n\r\n"]


class RawServer:
    """Plays one script a connection, in the order of their coming; then holds it until the other side closes.

    A request that OpenAI refuses is refused, and ends the script.

    Connections without a script are closed at once.
    """

    def __init__(self, *scripts: list[Step], tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.left = 0
        """How many connections the other side has closed."""
        self._scripts = list(scripts)
        self._tls = tls
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}/v1"

    def __enter__(self) -> RawServer:
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    @property
    def open_connections(self) -> int:
        """How many connections the server has not closed."""
        return len(self._open)

    def _run(self, work: Any, *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            if not select.select([self._listener], [], [], 0.01)[0]:
                continue
            connection, _ = self._listener.accept()
            self.connections += 1
            script = self._scripts.pop(0) if self._scripts else [CLOSE]
            self._open.add(connection)
            self._run(self._serve, connection, script)

    def _serve(self, connection: socket.socket, script: list[Step]) -> None:
        accepted = connection
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(5)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.add(connection)
            for step in script:
                if step == CLOSE:
                    return
                if step == RESET:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                self._play(connection, step)
                if step == READ and (refusal := refuse_request(self.requests[-1])) is not None:
                    connection.sendall(answer({"error": refusal.error}, status=f"{refusal.status} Refused"))
                    break
            self._hold(connection)
        except OSError:
            self.left += 1
        finally:
            connection.close()
            self._open -= {accepted, connection}

    def _play(self, connection: socket.socket, step: Step) -> None:
        if step == READ:
            self.requests.append(read_request(connection))
        elif step == HALF_CLOSE:
            connection.shutdown(socket.SHUT_WR)
        elif isinstance(step, bytes):
            connection.sendall(step)
        elif isinstance(step, threading.Event):
            while not (step.wait(0.01) or self._stopped.is_set()):
                pass
        else:
            self._stopped.wait(float(step))

    def _hold(self, connection: socket.socket) -> None:
        while not self._stopped.is_set():
            if select.select([connection], [], [], 0.01)[0] and not connection.recv(65_536):
                raise ConnectionResetError


def read_request(connection: socket.socket) -> bytes:
    """One request with a Content-Length, or without a body."""
    request = bytearray()
    length: int | None = None
    while length is None or len(request) < length:
        data = connection.recv(262_144)
        if not data:
            raise ConnectionResetError
        request += data
        if length is None and (end := request.find(b"\r\n\r\n")) >= 0:
            head = bytes(request[:end]).lower()
            body = [line[15:] for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
            length = end + 4 + (int(body[0]) if body else 0)
    return bytes(request)


@contextmanager
def connect_proxy(
    target_port: int, status: bytes = b"200 Connection established"
) -> Iterator[tuple[int, list[bytes]]]:
    """An HTTP proxy for one tunnel; it leads to a local port whatever host it is asked for.

    Yields:
        its port, and the list of the requests that it has had.
    """
    heads: list[bytes] = []
    stopped = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(5)

    def serve() -> None:
        with suppress(OSError):
            client, _ = listener.accept()
            with client:
                heads.append(read_request(client))
                client.sendall(b"HTTP/1.1 " + status + b"\r\nVia: test\r\n\r\n")
                if not status.startswith(b"200"):
                    return
                with socket.create_connection(("127.0.0.1", target_port)) as server:
                    ends = {client: server, server: client}
                    while not stopped.is_set():
                        for ready in select.select(list(ends), [], [], 0.01)[0]:
                            data = ready.recv(65_536)
                            if not data:
                                return
                            ends[ready].sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], heads
    finally:
        stopped.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(6)


@contextmanager
def port_of_something_else(said: bytes | None) -> Iterator[int]:
    """A port at which every connection gets the same bytes and is closed; with None, it gets no answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        connection.recv(1_000)
                        connection.sendall(said or b"")

        thread = threading.Thread(target=serve, daemon=True)
        if said is not None:
            thread.start()
        yield listener.getsockname()[1]
        if said is not None:
            # It must have ended before the descriptor is another socket's, on which it would go on.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
