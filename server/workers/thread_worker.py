"""Extend gunicorn's threaded worker: limits on slow clients, and a shutdown that ends streams with a last event."""

from __future__ import annotations

import math
import select
import socket
import sys
import time
from functools import partial
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from server.arbiter.boot_signals import unblock_stops
from server.arbiter.stop_notice import Stop, find_quit_s, find_stop, is_last
from server.connections.arrival import Arrivals, ArrivingSocket, refuse_connection, watch_body
from server.connections.lingering import LingeringConnections
from server.http import http_messages
from server.http.continuing import continue_when_read
from server.http.refusals import JsonRefusals

_POLL_S = 0.05


class StreamThreadWorker(JsonRefusals, ThreadWorker):  # type: ignore[misc]
    """The `worker_class` of gunicorn.conf.py with WORKER_CLASS=gthread.

    It limits slow requests and the connections of one address. If the server stops and no other accepts connections,
    the worker still accepts them while its requests finish, and the application answers that it is stopping.
    Connections wait while every thread is busy.
    """

    alive: bool
    arrivals: Arrivals
    is_quitting = False
    """Whether the worker ends at once: the application then ends its streams with a last event."""
    _quits_at = math.inf

    # private API: the methods, nr_conns and poller of ThreadWorker, and that it calls close() of a connection; guarded by tests/test_private_apis.py

    def init_process(self) -> None:
        """Prepare to count running connections, then serve."""
        self._running: set[Any] = set()
        self._to_finish: set[Any] | None = None
        http_messages.install_request()
        super().init_process()

    def run(self) -> None:
        """Serve until the worker is to stop."""
        self._lingering = LingeringConnections(self.poller)
        super().run()

    def init_signals(self) -> None:
        """Install the handlers."""
        super().init_signals()
        unblock_stops()

    def set_accept_enabled(self, enabled: bool) -> None:
        """Start or stop accepting connections. If the worker stops behind a proxy, close the listening sockets."""
        super().set_accept_enabled(enabled)
        if enabled or self.alive or find_stop() is not Stop.PASSED_ON:
            return
        for listener in self.sockets:
            # The kernel would reset connections that wait in the queue.
            while listener.fileno() >= 0 and select.select([listener], [], [], 0)[0]:
                self.accept(listener)
            listener.close()

    def _cap_keepalive(self, deadline: float) -> None:
        """Close kept-alive connections soon, unless others serve meanwhile: a proxy may be about to send a request."""
        if self.is_quitting or not find_stop().others_serve:
            super()._cap_keepalive(deadline)

    def enqueue_req(self, conn: Any) -> None:
        """Queue a connection for a thread, unless it is new and its address has too many."""
        if not isinstance(conn.sock, _ClientSocket):
            arrival = self.arrivals.admit(conn.client)
            if arrival is None:
                self.nr_conns -= 1
                refuse_connection(conn.sock, self.arrivals)
                return
            conn.sock = _ClientSocket(fileno=conn.sock.detach())
            conn.sock.arrival = arrival
            conn.close = partial(self._close, conn)
        super().enqueue_req(conn)

    def _close(self, conn: Any, graceful: bool = False) -> None:
        """Close a connection, in the main thread, without blocking on its client."""
        if graceful:
            self._lingering.add(conn.sock)
        else:
            conn.sock.close()

    def handle(self, conn: Any) -> Any:
        """Serve a request of a connection, in a thread."""
        self._running.add(conn)
        try:
            return super().handle(conn)
        finally:
            self._running.discard(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Serve one request whose head has been read."""
        arrival = conn.sock.arrival
        arrival.is_in_body = True
        req.body = watch_body(req.body, arrival)
        if req._expected_100_continue:
            continue_when_read(req, conn.sock)
        try:
            return super().handle_request(req, conn)
        finally:
            arrival.is_answered = True

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Begin to quit, on SIGQUIT and SIGINT. gunicorn alone would drop running calls without settling them."""
        if not self.is_quitting:
            self.is_quitting, self._quits_at = True, time.monotonic() + find_quit_s(is_stopping=not self.alive)
        self.handle_exit(sig, frame)

    def is_parent_alive(self) -> bool:
        """Return whether the arbiter is alive. If not, stop as if the worker were replaced."""
        is_alive = bool(super().is_parent_alive())
        if not is_alive:
            self.alive = False
        return is_alive

    def notify(self) -> None:
        """Notify the arbiter that the worker is alive. gunicorn calls this in each turn of its loops."""
        super().notify()
        self._lingering.close_late()
        if self.alive:
            return
        if time.monotonic() >= self._quits_at:
            sys.exit(0)
        if self._to_finish is None:
            self._to_finish = set(self._running) if is_last() else set()
        is_finishing = not self._to_finish.isdisjoint(self._running)
        self.set_accept_enabled(is_finishing and self.nr_conns < self.worker_connections)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for events. While the worker stops, wait only briefly, to notice requests that have ended."""
        super().wait_for_and_dispatch_events(timeout if self.alive else min(timeout, _POLL_S))


class _ClientSocket(ArrivingSocket, socket.socket):
    """A client's connection."""
