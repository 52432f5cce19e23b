"""Connections that are answered, and not yet closed by their clients."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import chain

import pytest

from server.connections.lingering import LingeringConnections


@pytest.fixture
def poller() -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as poller:
        yield poller


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A server's and a client's."""
    server, client = socket.socketpair()
    with server, client:
        client.settimeout(10)
        yield server, client


class Clock:
    """What the server's clock says."""

    def __init__(self) -> None:
        self.now = time.monotonic()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def lingering(poller: selectors.BaseSelector) -> LingeringConnections:
    return LingeringConnections(poller)


def dispatch(poller: selectors.BaseSelector) -> None:
    """Call what the worker's main thread would call now."""
    for key, _ in poller.select(0):
        key.data(key.fileobj)


def is_closed(sock: socket.socket) -> bool:
    return sock.fileno() == -1


def test_the_client_gets_the_end_of_the_answer_and_then_closes(
    poller: selectors.BaseSelector, lingering: LingeringConnections, ends: tuple[socket.socket, socket.socket]
) -> None:
    server, client = ends
    client.sendall(b"what is left of a body")
    server.sendall(b"answer")

    lingering.add(server)

    assert (client.recv(100), client.recv(100)) == (b"answer", b"")
    dispatch(poller)
    assert not is_closed(server)
    client.close()
    dispatch(poller)
    assert is_closed(server)
    assert not poller.get_map()


def test_a_client_that_does_not_close_has_two_seconds(
    poller: selectors.BaseSelector,
    lingering: LingeringConnections,
    ends: tuple[socket.socket, socket.socket],
    clock: Clock,
) -> None:
    server, _ = ends
    lingering.add(server)

    clock.now += 1.9
    lingering.close_late()
    assert not is_closed(server)
    clock.now += 0.2
    lingering.close_late()
    assert is_closed(server)
    assert not poller.get_map()


def test_a_client_that_goes_on_sending_is_read_for_a_bounded_time(
    poller: selectors.BaseSelector,
    lingering: LingeringConnections,
    ends: tuple[socket.socket, socket.socket],
    clock: Clock,
) -> None:
    server, client = ends
    begun = clock.now
    lingering.add(server)

    while not is_closed(server):
        client.sendall(b"x" * 100_000)  # the rest of a large body
        for _ in range(2):
            dispatch(poller)
        clock.now += 1
        lingering.close_late()

    assert 30 <= clock.now - begun < 33
    assert not poller.get_map()


def test_a_client_that_has_sent_all_has_two_seconds_from_then(
    poller: selectors.BaseSelector,
    lingering: LingeringConnections,
    ends: tuple[socket.socket, socket.socket],
    clock: Clock,
) -> None:
    server, client = ends
    lingering.add(server)
    client.sendall(b"x" * 50_000)
    dispatch(poller)

    clock.now += 2
    lingering.close_late()
    assert not is_closed(server)
    clock.now += 2
    lingering.close_late()
    assert is_closed(server)


def test_a_client_that_sends_byte_by_byte_has_two_seconds(
    poller: selectors.BaseSelector,
    lingering: LingeringConnections,
    ends: tuple[socket.socket, socket.socket],
    clock: Clock,
) -> None:
    server, client = ends
    lingering.add(server)
    client.sendall(b"x" * 100)
    dispatch(poller)

    clock.now += 2
    lingering.close_late()

    assert is_closed(server)
    assert not poller.get_map()


def test_a_connection_that_is_gone_is_closed_at_once(lingering: LingeringConnections) -> None:
    server = socket.socket()  # never connected: shutdown fails as it does after a reset
    lingering.add(server)
    assert is_closed(server)


def test_no_more_wait_than_a_process_may_have_files(
    poller: selectors.BaseSelector, lingering: LingeringConnections
) -> None:
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(260)]
        for sock in chain.from_iterable(pairs):
            stack.enter_context(sock)
        found_before = []
        for server, client in pairs:
            lingering.add(server)
            client.sendall(b"x")
            found_before += poller.select(0)[:1]
        for key, _ in found_before:
            key.data(key.fileobj)

        assert not set(lingering._late_bytes) - {server for server, _ in pairs[4:]}
        assert [is_closed(server) for server, _ in pairs] == [True] * 4 + [False] * 256
        assert len(poller.get_map()) == 256
        for _, client in pairs:
            client.close()
        for _ in range(2):  # what was sent, and its end
            dispatch(poller)
        assert all(is_closed(server) for server, _ in pairs)
