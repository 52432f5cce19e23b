"""A relay that keeps what it is given."""

from __future__ import annotations

import socket
from collections.abc import Callable


class FakeRelay:
    """A Relay of app/upstream_http/relaying.py for which nothing arrives."""

    def __init__(self) -> None:
        self.unsent = b""
        self.written = 0
        self.written_at = 0.0
        self.sent: list[bytes] = []

    def wait(self, sock: socket.socket, take: Callable[[bytes], bool], size: int, timeout_s: float) -> None:
        """Arrive never."""
        raise TimeoutError

    def write(self, data: bytes) -> None:
        """Keep a part."""
        self.sent.append(data)

    def flush(self) -> None:
        """Do nothing: nothing is unsent."""
