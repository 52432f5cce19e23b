"""Relaying: passing on what arrives of an answer while whoever reads it sleeps, where the server can do that."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from app.upstream_http.connection import Connection

# Not less than a record of TLS can hold. What is left of one would lie there unnoticed, as the socket is empty.
_READ_BYTES = 16_384


class Relay(Protocol):
    """The server's part: see server/connections/relay.py. Threads have none: there a wait costs no more than what is saved."""

    unsent: bytes
    """What the client's connection did not take at once."""
    written: int
    """How many bytes of the body it was given."""
    written_at: float
    """When that was last, as whoever gives them to it says: in seconds of `time.monotonic()`."""

    def wait(self, sock: socket.socket, take: Callable[[bytes], bool], size: int, timeout_s: float) -> None:
        """Read whenever there is something, up to `size` bytes, and give them to `take`, until it returns False.

        Raises:
            TimeoutError: the time is over, or there is something to flush, or wake() was called.
        """

    def wake(self) -> None:
        """Have the wait end after what is being taken, as if its time were over."""

    def write(self, data: bytes) -> None:
        """Send a part of the response's body without waiting."""

    def flush(self) -> None:
        """Wait until what is unsent is sent."""


@dataclass(frozen=True, slots=True)
class Relaying:
    """How the parts of one answer are passed on.

    Attributes:
        relay: waits for them.
        begin: returns what passes parts on until somebody else reads the answer. It returns False if it takes more
            than writing a part, and must not wait.
    """

    relay: Relay
    begin: Callable[[], Callable[[bytes], bool]]


def relay_parts(connection: Connection, relaying: Relaying, timeout_s: float) -> None:
    """Wait for a part of the body that cannot be passed on, and pass on those before it. Raises what `receive()` does."""
    pass_on = relaying.begin()

    def take(data: bytes) -> bool:
        """Return whether all of what has arrived was passed on."""
        start = data.find(b"\r\n") + 2
        if connection.is_between_chunks and data[-2:] == b"\r\n":
            try:
                is_chunk = int(data[: start - 2], 16) == len(data) - start - 2
            except ValueError:
                is_chunk = False
            if is_chunk and pass_on(data[start:-2]):
                return True  # past the parser, which stands before the next chunk as it did before this one
        connection.feed(data)
        body = connection.take_body()
        # Then the parser took the first line for a chunk's size, and the last two bytes for the chunk's end.
        connection.is_between_chunks = body == data[start:-2] != b""
        if body and not pass_on(body):
            connection.put_back(body)
            return False
        return not connection.has_ended

    relaying.relay.wait(connection.unblock(), take, _READ_BYTES, timeout_s)
