"""Detect during a call that the client has disconnected, or that the server must shut down."""

from __future__ import annotations

import socket
import ssl
from typing import Protocol

from app.openai_service.errors import CallerGone
from app.runtime.lifecycle import Draining, Lifecycle


class Connection(Protocol):
    """The receiver of an answer, checked while the answer is made."""

    def check(self) -> None:
        """Raise an error if the call should end."""


class ClientConnection:
    """The connection of one request, if the server exposes it."""

    def __init__(self, connection: socket.socket | None, lifecycle: Lifecycle) -> None:
        # MSG_PEEK does not work on a TLS socket: there, only a failed write shows that the client has disconnected.
        self._connection = None if isinstance(connection, ssl.SSLSocket) else connection
        self._lifecycle = lifecycle

    def check(self) -> None:
        """Raise an error if the call should end.

        Raises:
            CallerGone: the client has closed the connection.
            Draining: the server shuts down and cannot wait any longer.
        """
        if self._connection is not None and _is_closed(self._connection):
            raise CallerGone
        if self._lifecycle.must_end:
            raise Draining


def _is_closed(connection: socket.socket) -> bool:
    if getattr(connection, "is_read_closed", False):  # closed by this server: see server/workers/gevent_worker.py
        return False
    timeout_s = connection.gettimeout()
    try:
        connection.settimeout(0.0)
        try:
            return connection.recv(1, socket.MSG_PEEK) == b""
        finally:
            connection.settimeout(timeout_s)
    except BlockingIOError:
        return False
    except OSError:
        return True
