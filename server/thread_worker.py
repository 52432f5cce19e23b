"""Extend gunicorn's threaded worker: bounds on slow requests and on the connections of one address."""

from __future__ import annotations

import socket
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from server.arrival import Arrivals, ArrivingSocket, refuse_connection


class ClientThreads(ThreadWorker):  # type: ignore[misc]
    """The `worker_class` of gunicorn.conf.py with WORKER_CLASS=gthread."""

    arrivals: Arrivals

    # private API: enqueue_req, handle_request and nr_conns of ThreadWorker; guarded by tests/test_private_apis.py

    def enqueue_req(self, conn: Any) -> None:
        """Have a thread serve a connection, unless it is new and its address has too many."""
        if not isinstance(conn.sock, _ClientSocket):
            arrival = self.arrivals.admit(conn.client)
            if arrival is None:
                self.nr_conns -= 1
                refuse_connection(conn.sock)
                return
            conn.sock = _ClientSocket(fileno=conn.sock.detach())
            conn.sock.arrival = arrival
        super().enqueue_req(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Serve one request of a connection."""
        arrival = conn.sock.arrival
        arrival.is_in_body = True
        try:
            return super().handle_request(req, conn)
        finally:
            arrival.expect_request()


class _ClientSocket(ArrivingSocket, socket.socket):
    """A client's connection."""
