"""Extend gunicorn's gevent worker: cheaper sockets, and a shutdown that finishes requests."""

from __future__ import annotations

import errno
import math
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib import metadata
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool
from gunicorn.http.errors import ParseException
from gunicorn.sock import ssl_context
from gunicorn.workers.ggevent import GeventWorker

from server.arbiter.boot_signals import unblock_stops
from server.arbiter.stop_notice import Stop, find_quit_s, find_stop
from server.connections.arrival import Arrivals, ArrivingBody, ArrivingSocket, refuse_connection, watch_body
from server.connections.listening import FairListener, Listener
from server.connections.relay import Relay
from server.connections.stream_socket import StreamSocket
from server.http import http_messages
from server.http.continuing import continue_when_read
from server.http.refusals import JsonRefusals

# How long one read or write of a client's connection may take.
_CLIENT_TIMEOUT_S = 30.0
# How often a stopping worker checks whether its requests have ended.
_POLL_S = 0.05
# How long a connection that was accepted just before the stop may take to send its request, if the stop is urgent.
_LATE_REQUEST_S = 0.5
# The same if others serve meanwhile. A proxy may be about to send a request on an idle connection, and must not send
# it again if that is closed. It closes such a connection itself, three seconds after its last request.
_UNHURRIED_S = 5.0
# The arbiter kills the worker at graceful_timeout. This long before, the worker ends the remaining requests itself.
_UNWIND_S = 1.0
_NO_LIMIT = nullcontext()


class StreamWorker(JsonRefusals, GeventWorker):  # type: ignore[misc]
    """The `worker_class` of gunicorn.conf.py.

    A worker that is stopped finishes its running requests. If no other server accepts connections, it still accepts
    them, and the application answers that it is stopping. Otherwise it accepts no more, and serves those that it has.
    """

    alive: bool
    arrivals: Arrivals
    is_quitting = False
    """Whether the worker ends at once: the application then ends its streams with a last event."""
    _quits_at = math.inf

    def patch(self) -> None:
        """Patch the standard library and gunicorn: use StreamSocket for sockets, and http_messages.py for messages."""
        with _plugins_read_once():
            super().patch()
        # Connections to the upstream are made with this class as well.
        socket.socket = StreamSocket  # type: ignore[misc]
        http_messages.install()

    def init_signals(self) -> None:
        """Create the event that signals set, then install the handlers."""
        self._stop_requested = Event()
        super().init_signals()
        unblock_stops()

    def handle_exit(self, sig: int, frame: Any) -> None:  # noqa: ARG002
        """Begin to stop, on SIGTERM."""
        self._stop_requested.set()

    def handle_quit(self, sig: int, frame: Any) -> None:  # noqa: ARG002
        """Begin to quit, on SIGQUIT and SIGINT. gunicorn alone would drop running calls without settling them."""
        if not self.is_quitting:
            quit_s = find_quit_s(is_stopping=self._stop_requested.is_set())
            self.alive, self.is_quitting, self._quits_at = False, True, time.monotonic() + quit_s
        self._stop_requested.set()

    def notify(self) -> None:
        """Notify the arbiter that the worker is alive. If the arbiter has died, stop as if the worker were replaced."""
        super(GeventWorker, self).notify()  # GeventWorker.notify() would drop running requests
        if self.ppid != os.getppid() and not self._stop_requested.is_set():
            self.log.warning("Parent changed, shutting down: %s", self)
            self._stop_requested.set()

    def run(self) -> None:
        """Serve until the worker is stopped, then finish the running requests."""
        _hold_settings(self.cfg)
        self._connections = Pool(self.worker_connections)
        # The running requests by greenlet, and the keepalive connections that are idle between two requests.
        self._running: dict[Any, Any] = {}
        self._idle: set[Any] = set()
        self._allows_keepalive, self._closes_idle = True, False
        # TLS wraps each socket in its own class. All others are accepted as the right class at once: converting a
        # socket takes a dozen system calls.
        how = {"ssl_context": ssl_context(self.cfg)} if self.cfg.is_ssl else {"socket_class": _ClientSocket}
        listener_class = FairListener if self.cfg.workers > 1 else Listener
        self._has_tls = bool(self.cfg.is_ssl)
        servers = [listener_class(listener, self.handle, self._connections, **how) for listener in self.sockets]
        for server in servers:
            server.start()

        # gunicorn sets `alive` to False when a worker has served its max_requests.
        while self.alive and not self._stop_requested.is_set():
            self.notify()
            self._stop_requested.wait(1.0)

        ends_at = time.monotonic() + self.cfg.graceful_timeout - min(_UNWIND_S, self.cfg.graceful_timeout / 8)
        self.alive, stop = False, find_stop()
        if stop is Stop.LAST:
            earlier = set(self._running)
            self._wait_until(lambda: earlier.isdisjoint(self._running), ends_at)

        self._allows_keepalive = False
        for server in servers:
            if stop is Stop.PASSED_ON:
                server.accept_queued(self.cfg.backlog)
            server.close()
        for request in self._running.values():
            if not request.has_response:  # otherwise the client has been sent "Connection: keep-alive"
                request.force_close()
        if stop.others_serve and not self.is_quitting:
            # The client of a stream that began before the stop does not know of it, like the idle clients.
            self._wait_until(lambda: not self._running, ends_at)
            ends_wait_at = min(ends_at, time.monotonic() + _UNHURRIED_S)
            self._wait_until(lambda: self.is_quitting or not self._connections, ends_wait_at)
        self._closes_idle = True
        for connection in self._idle:
            _stop_reading(connection)
        self._wait_until(self._is_quiet, min(ends_at, time.monotonic() + _LATE_REQUEST_S))
        self._wait_until(lambda: not self._running, ends_at)
        if self._running:
            if not self.is_quitting:
                self.log.warning("Worker graceful timeout (pid:%s)", self.pid)
            with suppress(gevent.Timeout):
                gevent.killall(list(self._running), timeout=_UNWIND_S / 2)

    def _is_quiet(self) -> bool:
        """Return whether all open connections are idle: none runs a request, or has not sent its first one yet."""
        return len(self._connections) == len(self._idle)

    def _wait_until(self, condition: Callable[[], bool], end: float) -> None:
        while not condition() and time.monotonic() < min(end, self._quits_at):
            self.notify()
            gevent.sleep(_POLL_S)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection."""
        arrival = self.arrivals.admit(addr)
        if arrival is None:
            refuse_connection(client, self.arrivals)
            return
        if not isinstance(client, ssl.SSLSocket):
            client.arrival = arrival
        client.settimeout(_CLIENT_TIMEOUT_S)
        try:
            # Skip GeventWorker.handle(), which removes the timeout: clients that do nothing could stay forever.
            super(GeventWorker, self).handle(listener, client, addr)
        finally:
            arrival.end()
            self._idle.discard(client)

    def timeout_ctx(self) -> Any:
        """Limit how long to wait for a request. With TLS this includes its head."""
        return super().timeout_ctx() if self._has_tls else _NO_LIMIT

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve one request of a connection."""
        greenlet = gevent.getcurrent()
        self._idle.discard(sock)
        self._running[greenlet] = req
        arrival = getattr(sock, "arrival", None)  # None with TLS
        if arrival is not None:
            arrival.is_in_body = True
            req.body = watch_body(req.body, arrival)
        if req._expected_100_continue:
            continue_when_read(req, sock)
        if not self._allows_keepalive:
            req.force_close()
        try:
            super(GeventWorker, self).handle_request(listener_name, req, sock, addr)
        except (gevent.GreenletExit, SystemExit):
            raise StopIteration from None  # gunicorn then closes the connection
        except StopIteration:
            if isinstance(req.body, ArrivingBody) and not req.body.is_read:
                sock.read_rest = req.body.read
            raise
        finally:
            del self._running[greenlet]
            if arrival is not None:
                arrival.is_answered = True
        self._idle.add(sock)
        if self._closes_idle:
            _stop_reading(sock)


@contextmanager
def _plugins_read_once() -> Iterator[None]:
    """Make gevent look up its plugins once: for each of 25 events it would read a file of every installed package."""
    entry_points = metadata.entry_points
    metadata.entry_points = entry_points().select
    try:
        yield
    finally:
        metadata.entry_points = entry_points


def _hold_settings(config: Any) -> None:
    """Make the settings plain attributes of gunicorn's configuration, in which each look-up costs two calls.

    gunicorn does two dozen look-ups a request, a fifth of its own cost. A worker's settings never change.
    """
    for name, setting in config.settings.items():
        if not hasattr(type(config), name):  # gunicorn computes the others from several settings
            vars(config)[name] = setting.get()


def _stop_reading(connection: Any) -> None:
    """Accept no more data on a connection: a request that has arrived is answered, an idle connection is closed.

    gevent's shutdown() would interrupt a waiting reader, so that of the underlying socket is called. TLS treats an end
    without close_notify as an attack, so such a connection ends by its keepalive timeout instead.
    """
    if not isinstance(connection, ssl.SSLSocket):
        connection.is_read_closed = True
        with suppress(OSError):
            connection._sock.shutdown(socket.SHUT_RD)


class _ClientSocket(ArrivingSocket, StreamSocket):
    """A client's connection.

    gunicorn writes the head of a response, then its body. Here the head is delayed until the next write, so a small
    response is one packet. If a client reads nothing for too long, ConnectionResetError is raised, as if it had left.
    """

    _head = b""
    is_read_closed = False
    """Whether the worker has shut down its reading side. A read then ends as if the client had disconnected."""

    is_chunked = False
    """Whether the current response is sent in chunks."""

    read_rest: Callable[[int], bytes] | None = None
    """Reads the rest of the last request."""

    def open_relay(self) -> Relay:
        """Return a relay for the rest of the current response."""
        self._send_head()
        return Relay(self, is_chunked=self.is_chunked)

    def sendall(self, data: Any, *flags: int) -> None:
        if not self._head and data.startswith(b"HTTP/1.") and data.endswith(b"\r\n\r\n"):
            self._head = data
            return
        head, self._head = self._head, b""
        try:
            super().sendall(head + data, *flags)
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "the client reads nothing") from None

    def _send_head(self) -> None:
        if self._head:
            self.sendall(b"")

    # Each of the other operations first sends the delayed head.

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
        read, self.read_rest = self.read_rest, None
        with suppress(OSError, ParseException):
            self._send_head()
            # The kernel answers unread bytes with a reset, which may overtake the answer.
            if read is not None:
                self.shutdown(socket.SHUT_WR)
                while read(65_536):
                    pass
        super().close()
