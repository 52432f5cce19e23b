"""Relays that keep what they are given."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable


class FakeRelay:
    """A Relay of app/upstream_http/relaying.py for which nothing arrives."""

    def __init__(self) -> None:
        self.unsent = b""
        self.written = 0
        self.written_at = 0.0
        self.sent: list[bytes] = []

    def wait(self, sock: socket.socket, take: Callable[[bytes], bool], size: int, timeout_s: float) -> None:
        """Do nothing: nothing arrives."""
        raise TimeoutError

    def write(self, data: bytes) -> None:
        """Keep a part."""
        self.sent.append(data)

    def flush(self) -> None:
        """Do nothing: nothing is unsent."""

    def wake(self) -> None:
        """Do nothing: no greenlet sleeps."""


class ThreadRelay(FakeRelay):
    """A relay that passes on what arrives, in the thread that waits for it: without a server, and without gevent."""

    def __init__(self, received: list[bytes]) -> None:
        super().__init__()
        self.sent = received
        self.passed_on = 0
        self.is_broken = False
        """Whether the client has left, which writing to it shows."""
        self.wakes = 0
        self._is_woken = False

    def wait(self, sock: socket.socket, take: Callable[[bytes], bool], size: int, timeout_s: float) -> None:
        """Pass on what comes."""
        self._is_woken = False
        until = time.monotonic() + timeout_s
        while not self.unsent and not self._is_woken:
            if not select.select([sock], [], [], max(0.0, until - time.monotonic()))[0]:
                break
            if not take(sock.recv(size)):
                return
        raise TimeoutError

    def write(self, data: bytes) -> None:
        """Keep a part, or have it wait in vain for a client that has left."""
        self.passed_on += 1
        if self.is_broken:
            self.unsent += data
        else:
            super().write(data)

    def flush(self) -> None:
        """Fail."""
        raise BrokenPipeError

    def wake(self) -> None:
        """End the wait."""
        self.wakes += 1
        self._is_woken = True


class RelayingSocket:
    """The connection of a client, as a server with a relay has it."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        """What the client got. What the application yields has to be added."""
        self.relay = ThreadRelay(self.received)

    def open_relay(self) -> ThreadRelay:
        """Return the relay."""
        return self.relay

    def gettimeout(self) -> None:
        """Say that it has none."""

    def settimeout(self, timeout_s: float | None) -> None:
        """Do nothing."""

    def recv(self, size: int, flags: int) -> bytes:
        """Tell whether the client has left."""
        if self.relay.is_broken:
            return b""
        raise BlockingIOError
