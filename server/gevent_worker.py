"""gunicorn's gevent worker, with cheaper sockets and a fair share of the connections."""

from __future__ import annotations

import errno
import socket
import ssl
from contextlib import suppress
from typing import Any

import gevent.socket
from gunicorn.workers.ggevent import GeventWorker

from server.stream_socket import StreamSocket

# Enough for an idle worker to wake up, and nothing to notice.
_MOST_TURNS_LEFT = 16
# How long one read or write of a visitor's connection may take.
_CLIENT_TIMEOUT_S = 30.0


class StreamWorker(GeventWorker):  # type: ignore[misc]
    """Set as `worker_class` in gunicorn.conf.py."""

    open_connections = 0

    def patch(self) -> None:
        super().patch()
        # What `socket.socket()` makes from here on, also for the connections to the upstream.
        socket.socket = StreamSocket  # type: ignore[misc]
        self.sockets: list[Any] = [_FairListener(listener, self) for listener in self.sockets]

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        if not isinstance(client, ssl.SSLSocket):
            client = _VisitorSocket(fileno=client.detach())
        client.settimeout(_CLIENT_TIMEOUT_S)
        self.open_connections += 1
        try:
            # Past GeventWorker's own, which would let a visitor who neither reads nor writes stay for ever.
            super(GeventWorker, self).handle(listener, client, addr)
        finally:
            self.open_connections -= 1


class _VisitorSocket(StreamSocket):
    """A visitor's connection.

    gunicorn writes an answer's head by itself and its body after it; here the head waits for what follows, which
    makes one packet of a small answer. A visitor who takes nothing for too long counts as a broken connection,
    which gunicorn understands.
    """

    _head = b""

    def sendall(self, data: Any, *flags: int) -> None:
        if not self._head and data.startswith(b"HTTP/1.") and data.endswith(b"\r\n\r\n"):
            self._head = data
            return
        head, self._head = self._head, b""
        try:
            super().sendall(head + data, *flags)
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "the visitor reads nothing") from None

    def _send_head(self) -> None:
        if self._head:
            self.sendall(b"")

    # Whatever is done next, the head goes first.

    def recv(self, size: int, *flags: int) -> bytes:
        self._send_head()
        return super().recv(size, *flags)

    def send(self, data: Any, *args: Any) -> int:
        self._send_head()
        sent: int = super().send(data, *args)
        return sent

    def sendfile(self, *args: Any, **kwargs: Any) -> Any:
        self._send_head()
        return super().sendfile(*args, **kwargs)

    def shutdown(self, how: int) -> None:
        self._send_head()
        super().shutdown(how)

    def close(self) -> None:
        with suppress(OSError):
            self._send_head()
        super().close()


class _FairListener(gevent.socket.socket):  # type: ignore[misc]
    """A listening socket that leaves a new connection to a less busy worker.

    The kernel wakes every worker for each one, and the worker that is at work already is the first to look;
    by that it would soon have nearly all of them. So it lets as many turns of its loop pass as it has
    connections open, which a worker with fewer uses to be quicker.
    """

    def __init__(self, listener: Any, worker: StreamWorker) -> None:
        super().__init__(listener.family, listener.type, listener.proto, fileno=listener.detach())
        self._worker = worker
        self._turns_left = 0

    def _accept(self) -> tuple[int, Any]:
        if self._turns_left > 0:
            self._turns_left -= 1
            raise BlockingIOError
        self._turns_left = min(self._worker.open_connections + 1, _MOST_TURNS_LEFT)
        accepted: tuple[int, Any] = super()._accept()
        return accepted
