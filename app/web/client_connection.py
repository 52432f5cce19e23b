"""ClientConnection: whoever waits for the answer to a request, and may leave, or be sent away, before it is there."""

from __future__ import annotations

import socket
import ssl

from app.openai_service.errors import CallerGone
from app.runtime.lifecycle import Draining, Lifecycle


class ClientConnection:
    """Knows the connection of one request, where the server shows it."""

    def __init__(self, connection: socket.socket | None, lifecycle: Lifecycle) -> None:
        # A TLS connection cannot be looked into without reading from it; there, writing shows who has left.
        self._connection = None if isinstance(connection, ssl.SSLSocket) else connection
        self._lifecycle = lifecycle

    def check(self) -> None:
        """See whether there is still somebody to work for, and the time to do it.

        Raises:
            CallerGone: the visitor has closed the connection.
            Draining: the server stops, and cannot wait any longer.
        """
        if self._connection is not None and _is_closed(self._connection):
            raise CallerGone
        if self._lifecycle.must_end:
            raise Draining


def _is_closed(connection: socket.socket) -> bool:
    if getattr(connection, "reads_no_more", False):  # it was this server that closed its half: see server/
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
