"""gunicorn's gevent worker, with cheaper sockets, a fair share of the connections, and an end that cuts nothing off."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import gevent
import gevent.socket
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.sock import ssl_context
from gunicorn.workers.ggevent import GeventWorker

from server.stop_notice import server_stops
from server.stream_socket import StreamSocket

# Enough for an idle worker to wake up, and nothing to notice.
_MAX_TURNS_LEFT = 16
# How long one read or write of a visitor's connection may take.
_CLIENT_TIMEOUT_S = 30.0
# How often a worker that ends looks whether it can.
_LOOK_S = 0.05
# How long a connection that was taken just before the end has for its request to arrive and be answered.
_LATECOMER_S = 0.5
# So long before graceful_timeout, when the arbiter kills the worker, it ends by itself what is still at work.
_UNWIND_S = 1.0


class StreamWorker(GeventWorker):  # type: ignore[misc]
    """Set as `worker_class` in gunicorn.conf.py.

    A worker that is told to stop finishes what it is at. If the whole server stops it also goes on answering new
    connections, with whatever the application says by then; if it is only replaced it leaves them to others.
    """

    alive: bool

    def patch(self) -> None:
        super().patch()
        # What `socket.socket()` makes from here on, also for the connections to the upstream.
        socket.socket = StreamSocket  # type: ignore[misc]

    def init_signals(self) -> None:
        self._told_to_stop = Event()
        super().init_signals()

    def handle_exit(self, sig: int, frame: Any) -> None:  # noqa: ARG002
        self._told_to_stop.set()

    def run(self) -> None:
        _hold_settings(self.cfg)
        self._connections = Pool(self.worker_connections)
        # The requests that are being answered, by greenlet, and the connections that are kept for another one.
        self._at_work: dict[Any, Any] = {}
        self._kept: set[Any] = set()
        self._keeps_connections = True
        tls = {"ssl_context": ssl_context(self.cfg)} if self.cfg.is_ssl else {}
        server_class = _FairServer if self.cfg.workers > 1 else _Server
        servers = [server_class(listener, self.handle, self._connections, **tls) for listener in self.sockets]
        for server in servers:
            server.start()

        # gunicorn itself says by `alive` that a worker has had its max_requests.
        while self.alive and not self._told_to_stop.is_set():
            self.notify()
            self._told_to_stop.wait(1.0)

        ends_at = time.monotonic() + self.cfg.graceful_timeout - min(_UNWIND_S, self.cfg.graceful_timeout / 8)
        if server_stops():
            self.alive = False
            earlier = set(self._at_work)
            self._wait_until(lambda: earlier.isdisjoint(self._at_work), ends_at)

        for server in servers:
            server.close()
        self._keeps_connections = False
        for request in self._at_work.values():
            request.force_close()  # which is in time if its answer has not begun
        for connection in self._kept:
            _read_no_more(connection)
        # The application refuses what arrives once `alive` is False; others would have taken these requests.
        self._wait_until(self._is_without_work, min(ends_at, time.monotonic() + _LATECOMER_S))
        self.alive = False
        self._wait_until(lambda: not self._at_work, ends_at)
        if self._at_work:
            self.log.warning("Worker graceful timeout (pid:%s)", self.pid)
            with suppress(gevent.Timeout):
                gevent.killall(list(self._at_work), timeout=_UNWIND_S / 2)

    def _is_without_work(self) -> bool:
        """No request is being answered, and no connection is there that has not had its first."""
        return len(self._connections) == len(self._kept)

    def _wait_until(self, is_so: Callable[[], bool], end: float) -> None:
        while not is_so() and time.monotonic() < end:
            self.notify()
            gevent.sleep(_LOOK_S)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        if not isinstance(client, ssl.SSLSocket):
            client = _VisitorSocket(fileno=client.detach())
        client.settimeout(_CLIENT_TIMEOUT_S)
        try:
            # Past GeventWorker's own, which would let a visitor who neither reads nor writes stay for ever.
            super(GeventWorker, self).handle(listener, client, addr)
        finally:
            self._kept.discard(client)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        greenlet = gevent.getcurrent()
        self._kept.discard(sock)
        self._at_work[greenlet] = req
        if not self._keeps_connections:
            req.force_close()
        try:
            super(GeventWorker, self).handle_request(listener_name, req, sock, addr)
        except (gevent.GreenletExit, SystemExit):
            raise StopIteration from None  # which closes the connection
        finally:
            del self._at_work[greenlet]
        self._kept.add(sock)
        if not self._keeps_connections:
            _read_no_more(sock)


def _hold_settings(config: Any) -> None:
    """Make the settings plain attributes of gunicorn's configuration, which looks each one up in two calls.

    It does so two dozen times a request, a fifth of what gunicorn itself costs. A worker's settings never change.
    """
    for name, setting in config.settings.items():
        if not hasattr(type(config), name):  # what is worked out from several is left to it
            vars(config)[name] = setting.get()


def _read_no_more(connection: Any) -> None:
    """Let what has arrived be the last that is read: with a request it is answered, without one it is closed.

    Not by the shutdown() of gevent's socket, which would break off the wait of whoever reads. TLS takes an end
    without its own farewell for an attack: such a connection is left to its keepalive.
    """
    if not isinstance(connection, ssl.SSLSocket):
        connection.reads_no_more = True
        with suppress(OSError):
            connection._sock.shutdown(socket.SHUT_RD)


class _Server(StreamServer):  # type: ignore[misc]
    """A listening socket, and who handles what arrives there."""

    def __init__(self, listener: Any, handle: Callable[..., None], connections: Pool, **tls: Any) -> None:
        super().__init__(listener, partial(handle, self), spawn=connections, **tls)

    def getsockname(self) -> Any:
        """Its address, which gunicorn asks for at each connection, also when the socket has been closed by then."""
        return self.address


class _FairServer(_Server):
    """One that leaves a new connection to a less busy worker.

    The kernel wakes every worker for each one, and the worker that is at work already is the first to look;
    by that it would soon have nearly all of them. So it lets as many turns of its loop pass as it has
    connections open, which a worker with fewer uses to be quicker.
    """

    max_accept = 1
    _turns_left = 0

    def do_read(self) -> Any:
        if self._turns_left > 0:
            self._turns_left -= 1
            return None
        self._turns_left = min(len(self.pool) + 1, _MAX_TURNS_LEFT)
        return super().do_read()


class _VisitorSocket(StreamSocket):
    """A visitor's connection.

    gunicorn writes an answer's head by itself and its body after it; here the head waits for what follows, which
    makes one packet of a small answer. A visitor who takes nothing for too long counts as a broken connection,
    which gunicorn understands.
    """

    _head = b""
    reads_no_more = False
    """Whether the worker has closed its half, which from then on looks as if the visitor had left."""

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

    def send(self, data: Any, *args: Any, **kwargs: Any) -> int:
        self._send_head()
        sent: int = super().send(data, *args, **kwargs)
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
