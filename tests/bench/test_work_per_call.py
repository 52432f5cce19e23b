"""What one chat, and the beginning and end of a stream, make this program do, in figures that no neighbour on the machine can change."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.counts import calls
from bench.loop import Loop
from bench.targets import PRODUCT, Target
from bench.upstream.server import Connection, Counter, Refusals

# As measured; whatever lowers one of them lowers it here too.
CALLS = 969
STATEMENTS = 3
STREAM_CALLS = 1345
"""Of a stream of one chunk: what a stream takes to begin and to end."""
SLACK = 1.05


@pytest.fixture
def upstream_port() -> Iterator[int]:
    """The benchmark's OpenAI, in a thread: as a process it would load nearly as much as what is measured."""
    loop, ended = Loop(), threading.Event()
    waker, woken = socket.socketpair()
    with waker, woken, socket.create_server(("127.0.0.1", 0)) as listener:

        def accept(_events: int) -> None:
            sock, _ = listener.accept()
            sock.setblocking(False)
            Connection(loop, sock, Counter(), Refusals())

        loop.watch(listener.fileno(), accept)
        loop.watch(woken.fileno(), lambda _events: ended.set())
        thread = threading.Thread(target=loop.run, args=(ended.is_set,))
        thread.start()
        yield listener.getsockname()[1]
        waker.sendall(b"x")
        thread.join()


def test_warm_chat_takes_no_more_calls_and_statements_than_measured(upstream_port: int, tmp_path: Path) -> None:
    rows = calls.count(Target(PRODUCT, PRODUCT), upstream_port, tmp_path / "counted")

    by_package = {name: number for name, number in rows.items() if name.startswith("calls_")}
    assert rows["calls"] == sum(by_package.values())
    assert rows["calls"] <= CALLS * SLACK, by_package
    assert rows["statements"] <= STATEMENTS
    assert rows["stream_calls"] <= STREAM_CALLS * SLACK
