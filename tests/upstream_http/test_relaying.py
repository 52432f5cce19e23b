"""Bodies whose parts are passed on while nobody reads them, however HTTP frames them and TCP cuts them."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from itertools import pairwise

import httptools
import pytest

from app.upstream_http.connection import Connection, ConnectionEnded
from app.upstream_http.relaying import Relaying, relay_parts
from tests.fakes.generated import IS_THOROUGH

_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_PARTS = [b"data: %d %b\n\n" % (number, b"\r\n5\r\nx" * (number % 3)) for number in range(40)] + [
    b"x" * 5000,
    b"5\r\n",
]


class _Relay:
    """Reads pieces one after the other, as the server's relay does from a connection."""

    unsent = b""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = iter(pieces)

    def wait(self, sock: socket.socket, take: Callable[[bytes], bool], size: int, timeout_s: float) -> None:
        assert sock.gettimeout() == 0.0
        for piece in self.pieces:
            if not take(piece):
                return
        raise AssertionError("what is waited for never comes")

    def write(self, data: bytes) -> None:
        raise AssertionError

    def flush(self) -> None:
        raise AssertionError


@pytest.fixture
def connection() -> Iterator[Connection]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(ours)


def _chunk(data: bytes, size: str = "%x") -> bytes:
    return (size % len(data)).encode() + b"\r\n" + data + b"\r\n"


FRAMES: dict[str, list[bytes]] = {
    "lower case": [_chunk(part) for part in _PARTS],
    "upper case": [_chunk(part, "%X") for part in _PARTS],
    "padded sizes": [_chunk(part, "%08x") for part in _PARTS],
    "extensions": [_chunk(part, "%x;a=1") for part in _PARTS],
}
ENDS = {"plain": b"0\r\n\r\n", "with a trailer": b"0\r\nX-Sum: 5\r\n\r\n"}


def _relay(connection: Connection, pieces: list[bytes], dice: random.Random | None) -> tuple[bytes, int]:
    """Return the whole body, and how many parts of it were passed on."""
    body, passed = bytearray(), 0

    def pass_on(data: bytes) -> bool:
        nonlocal passed
        if not data or (dice is not None and dice.random() < 0.3):
            return False
        passed += 1
        body.extend(data)
        return True

    relay = _Relay(pieces)
    while not connection.has_ended:
        relay_parts(connection, Relaying(relay, lambda: pass_on), 5.0)
        body.extend(connection.take_body())
    return bytes(body), passed


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("frames", FRAMES)
def test_body_arrives_whole_and_in_order(connection: Connection, frames: str, end: str) -> None:
    connection.feed(_HEAD)

    body, passed = _relay(connection, [*FRAMES[frames], ENDS[end]], None)

    assert body == b"".join(_PARTS)
    assert passed == len(_PARTS)
    assert connection.complete


@pytest.mark.generated
@pytest.mark.parametrize("frames", FRAMES)
def test_body_arrives_whole_however_it_is_cut(frames: str) -> None:
    dice = random.Random(5)
    wire = b"".join([*FRAMES[frames], ENDS["plain"]])
    for _ in range(60 if IS_THOROUGH else 15):
        # Some cuts at the ends of chunks, where a piece looks like a chunk or really is one.
        places = {0, len(wire), *(dice.randrange(len(wire)) for _ in range(dice.choice((0, 3, 40))))}
        places |= {at + 2 for at in range(len(wire)) if wire[at : at + 2] == b"\r\n" and dice.random() < 0.5}
        cuts = sorted(places)
        pieces = [wire[start:stop] for start, stop in pairwise(cuts) if start < stop]
        ours, theirs = socket.socketpair()
        with ours, theirs:
            connection = Connection(ours)
            connection.feed(_HEAD)

            body, _ = _relay(connection, pieces, dice)

        assert body == b"".join(_PARTS)


def test_body_of_known_length_arrives_whole(connection: Connection) -> None:
    whole = b"".join(FRAMES["lower case"])  # which looks like chunks, and is none
    connection.feed(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(whole))

    body, _ = _relay(connection, FRAMES["lower case"], None)

    assert body == whole


def test_connection_that_ends_early_is_told(connection: Connection) -> None:
    connection.feed(_HEAD)

    with pytest.raises(ConnectionEnded):
        _relay(connection, [*FRAMES["lower case"][:5], b""], None)


def test_what_is_no_chunk_is_told(connection: Connection) -> None:
    connection.feed(_HEAD)

    with pytest.raises(httptools.HttpParserError):
        _relay(connection, [*FRAMES["lower case"][:5], b"no chunk\r\n"], None)
