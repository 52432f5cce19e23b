"""Relaying: forwards parts of an answer without waking the greenlet that reads it, if the server supports that."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from app.upstream_http.connection import Connection

# At least the size of a TLS record: the unread rest of a record would go unnoticed, as polling the socket does not show it.
_READ_BYTES = 16_384


class Relay(Protocol):
    """The server's side: see server/connections/relay.py. Worker threads have no relay, as it would not save them time."""

    unsent: bytes
    """Data that the client's connection did not accept immediately."""
    written: int
    """How many bytes of the body were written."""
    written_at: float
    """When the last part was written, set by the code that writes it, in seconds of `time.monotonic()`."""

    def wait(self, sock: socket.socket, take: Callable[[bytes], bool], size: int, timeout_s: float) -> None:
        """Pass up to `size` bytes to `take` whenever the socket is readable, until `take` returns False.

        Raises:
            TimeoutError: the time has passed, there is unsent data to flush, or wake() was called.
        """

    def wake(self) -> None:
        """End the wait after the current call of `take`, as if the time had passed."""

    def write(self, data: bytes) -> None:
        """Send a part of the response's body without waiting."""

    def flush(self) -> None:
        """Wait until all unsent data has been sent."""


@dataclass(frozen=True, slots=True)
class Relaying:
    """How the parts of one answer are forwarded.

    Attributes:
        relay: waits for the parts.
        begin: returns a function that forwards a part, for use until the reader of the answer takes over. The function
            must not wait. It returns False if it cannot forward a part just by writing it.
    """

    relay: Relay
    begin: Callable[[], Callable[[bytes], bool]]


def relay_parts(connection: Connection, relaying: Relaying, timeout_s: float) -> None:
    """Forward parts of the body until one arrives that cannot be forwarded. Raises what `receive()` raises."""
    forward = relaying.begin()

    def take(data: bytes) -> bool:
        """Return whether all the data was forwarded and more may follow."""
        start = data.find(b"\r\n") + 2
        if connection.is_between_chunks and data[-2:] == b"\r\n":
            try:
                is_chunk = int(data[: start - 2], 16) == len(data) - start - 2
            except ValueError:
                is_chunk = False
            if is_chunk and forward(data[start:-2]):
                return True  # bypasses the parser, which is again at the beginning of a chunk
        connection.feed(data)
        body = connection.take_body()
        # If so, the parser read the first line as the chunk's size, and the last two bytes as the chunk's end.
        connection.is_between_chunks = body == data[start:-2] != b""
        if body and not forward(body):
            connection.put_back(body)
            return False
        return not connection.has_ended

    relaying.relay.wait(connection.unblock(), take, _READ_BYTES, timeout_s)
