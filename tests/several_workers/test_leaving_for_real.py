"""Visitors who close their connections, before real servers and an upstream that goes silent."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import selectors
import shutil
import signal
import socket
import socketserver
import sqlite3
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.test_nginx import OWN_NAME, SITE, serving
from tests.fakes.servers import Gunicorn, free_port, gunicorn, wait_until
from tests.fakes.stopwatch import Stopwatch
from tests.fakes.upstreams.openai_answers import chunk, sse, stream_of
from tests.fakes.upstreams.raw_server import chunked, read_request

pytestmark = pytest.mark.servers

WORKER_CLASSES = ["gevent", "gthread"]
# A look around each second, and what a busy machine may add to that.
SEEN_S = 2.0
DEADLINE_S = 4
# By when a stream that was left is surely read on in the background.
_LATER_S = 1.4
HEAD = chunked()[0]


def in_chunk(*payloads: Any) -> bytes:
    """As OpenAI writes them, without spaces: gevent's loop passes such tokens on by itself."""
    data = sse(*[it if isinstance(it, str) else json.dumps(it, separators=(",", ":")) for it in payloads])
    return b"%x\r\n%b\r\n" % (len(data), data)


TOKEN = in_chunk(chunk({"content": "x"}))
REASONING = in_chunk(chunk({"reasoning_content": "hm"}))
END = in_chunk(*stream_of()[1:]) + b"0\r\n\r\n"


class SilentUpstream:
    """Does what the visitor's message says, then keeps silent until whoever asks has left.

    A message is a row of words: `nothing`, `head`, `token`, `reasoning`, `end`, `later`, which is after the visitor's
    leaving has been seen, and `again`, which is the word before it ten times a second.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.open = 0
        """How many exchanges are under way."""
        self.asked = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.upstream = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def count(self, change: int) -> None:
        with self._lock:
            self.open += change
            self.asked += change > 0

    def __enter__(self) -> SilentUpstream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    upstream: SilentUpstream
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        connection: socket.socket = self.request
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = json.loads(read_request(connection).partition(b"\r\n\r\n")[2])
        words = (body["messages"][-1]["content"] if "messages" in body else "").split()
        self.server.upstream.count(1)
        try:
            self._do(connection, words)
            while connection.recv(1000):
                pass
        except ConnectionError:
            pass
        finally:
            self.server.upstream.count(-1)

    def _do(self, connection: socket.socket, words: list[str]) -> None:
        last = b""
        for word in words:
            if word == "again":
                while True:
                    time.sleep(0.1)
                    connection.sendall(last)
            if word == "later":
                time.sleep(_LATER_S)
                continue
            last = {"nothing": b"", "head": HEAD, "token": TOKEN, "reasoning": REASONING, "end": END}[word]
            connection.sendall(last)


@dataclass
class Site:
    """A gunicorn with one worker, and the upstream behind it."""

    server: Gunicorn
    port: int
    upstream: SilentUpstream
    state_dir: Path

    def calls(self) -> list[str]:
        """The lines of the log that calls have left."""
        return [line for line in self.server.log().splitlines() if " INFO call " in line]

    def leases(self) -> int:
        with contextlib.closing(sqlite3.connect(self.state_dir / "state.sqlite3")) as store:
            return int(store.execute("SELECT coalesce(sum(held), 0) FROM leases").fetchone()[0])

    def worker(self) -> int:
        [worker] = self.server.workers()
        return worker

    def outcomes(self) -> dict[str, str]:
        """How each call ended, by the id of its request."""
        fields = [dict(part.split("=", 1) for part in call.split() if "=" in part) for call in self.calls()]
        return {call["request_id"]: call["outcome"] for call in fields}

    def assert_quiet(self) -> None:
        log = self.server.log()
        assert "Traceback" not in log
        assert "request.bug" not in log


@contextlib.contextmanager
def running(folder: Path, **settings: str) -> Iterator[Site]:
    port = free_port()
    with SilentUpstream() as upstream:
        own = {"OPENAI_BASE_URL": upstream.url, "STATE_DIR": str(folder), "WEB_CONCURRENCY": "1"}
        where = {} if "BIND" in settings else {"PORT": str(port)}
        wait_for = Path(settings["BIND"].removeprefix("unix:")) if "BIND" in settings else port
        with gunicorn(wait_for=wait_for, **own, **where, **settings) as server:
            yield Site(server, port, upstream, folder)


@contextlib.contextmanager
def visitor(port: int, route: str, message: str, request_id: str = "x") -> Iterator[socket.socket]:
    """A connection on which a request has been sent."""
    body: dict[str, Any] = {"message": message}
    if route.endswith("/openai"):
        body = {"chatSettings": {}, "messages": [{"role": "user", "content": message}]}
    elif route.endswith("/embeddings"):
        body = {"input": "Hello"}
    content = json.dumps(body).encode()
    head = (
        f"POST {route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"X-Request-ID: {request_id}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(head.encode() + content)
        yield connection


def read_until(connection: socket.socket, part: bytes, times: int = 1) -> bytes:
    """Read the body until it has so many of these parts."""
    data = b""
    while data.partition(b"\r\n\r\n")[2].count(part) < times:
        received = connection.recv(65_536)
        assert received, f"the answer ended with {data!r}"
        data += received
    return data


def break_off(connection: socket.socket) -> None:
    """Leave without a word of TCP's."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# How visitors leave: the route, what the upstream does, and whether they break their connection off.
LEAVERS = [
    ("/api/chat", "nothing", False),
    ("/api/chat", "nothing", True),
    ("/api/embeddings", "nothing", False),
    ("/api/chat/stream", "nothing", False),
    ("/api/chat/stream", "head", True),
    ("/api/chat/stream", "head reasoning again", False),
    ("/api/chat/openai", "nothing", False),
    ("/api/chat/openai", "head reasoning again", True),
    ("/api/chat/stream", "head token", False),
    ("/api/chat/stream", "head token", True),
    ("/api/chat/stream", "head token reasoning again", False),
    ("/api/chat/stream", "head token token again", True),
    ("/api/chat/openai", "head token", False),
    ("/api/chat/openai", "head token token again", False),
]


def assert_noticed(site: Site, port: int) -> None:
    """Have all of them leave at once: soon after, nobody waits for a stream any more, and each has its record.

    An answer in one piece is waited for until the deadline of its call, as the upstream bills it in any case.
    """
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(visitor(port, route, message, f"leaver-{number}"))
            for number, (route, message, _) in enumerate(LEAVERS)
        ]
        wait_until(lambda: site.upstream.open == len(LEAVERS), "the upstream is asked")
        for connection, (_, message, is_broken_off) in zip(connections, LEAVERS, strict=True):
            if "token" in message:
                read_until(connection, b"x")
            if is_broken_off:
                break_off(connection)
        assert site.outcomes() == {}
        left = Stopwatch()

    in_one_piece = sum(route in ("/api/chat", "/api/embeddings") for route, _, _ in LEAVERS)
    wait_until(lambda: site.upstream.open <= in_one_piece, "all streams of the upstream are closed", 5)
    assert left.elapsed_s() < SEEN_S
    wait_until(lambda: site.upstream.open == 0, "all connections to the upstream are closed", DEADLINE_S + 2)
    gone = {f"leaver-{number}": "client_gone" for number in range(len(LEAVERS))}
    wait_until(lambda: len(site.calls()) >= len(gone), "the lines of the calls", 2)
    assert site.outcomes() == gone
    assert len(site.calls()) == len(gone) == site.upstream.asked
    site.assert_quiet()


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_leaving_is_noticed_while_the_upstream_is_silent(tmp_path: Path, worker_class: str) -> None:
    with running(tmp_path, WORKER_CLASS=worker_class, REQUEST_TIMEOUT_S=str(DEADLINE_S)) as site:
        assert_noticed(site, site.port)


def test_leaving_is_noticed_through_nginx(tmp_path: Path) -> None:
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("nginx is not installed")
    path = tmp_path / "gunicorn.sock"
    with (
        running(tmp_path, BIND=f"unix:{path}", TRUSTED_PROXIES="1", REQUEST_TIMEOUT_S=str(DEADLINE_S)) as site,
        serving(program, path, tmp_path, SITE.read_text("utf-8"), {OWN_NAME: "    localhost  1;"}) as nginx,
    ):
        assert_noticed(site, nginx.port)


def test_heartbeats_keep_coming_while_the_upstream_is_silent(tmp_path: Path) -> None:
    with running(tmp_path, HEARTBEAT_S="0.2") as site, contextlib.ExitStack() as stack:
        begun = Stopwatch()
        connections = [
            stack.enter_context(visitor(site.port, "/api/chat/stream", message))
            for message in ("nothing", "head", "head token", "head token reasoning again")
        ]
        for connection in connections:
            assert read_until(connection, b": heartbeat\n\n", times=4).startswith(b"HTTP/1.1 200 ")
        assert begun.wall_s() > 0.7
        assert begun.elapsed_s() < SEEN_S
        assert (site.upstream.open, site.calls()) == (len(connections), [])


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_what_was_left_is_drained_until_the_server_stops(tmp_path: Path, worker_class: str) -> None:
    with running(tmp_path, DISCONNECT_POLICY="drain", WORKER_CLASS=worker_class) as site:
        for message in ("head token later end", "head token", "head token reasoning again"):
            with visitor(site.port, "/api/chat/stream", message) as connection:
                read_until(connection, b"x")
        wait_until(site.calls, "the line of what could be read to its end", 5)
        [call] = site.calls()
        assert "outcome=client_gone" in call
        assert "completion_tokens=3" in call

        site.server.signal(signal.SIGTERM)

        assert site.server.process.wait(timeout=5) == 0
        assert ["outcome=client_gone" in call for call in site.calls()] == [True] * 3
        site.assert_quiet()


STORM = 200
# The most threads that are kept for further use: gevent's for looking up names, and the pool of gthread.
KEPT_THREADS = {"gevent": 10, "gthread": 64}


def storm(port: int, seed: int) -> None:
    """Open many streams at once, and drop each at a point of its own."""
    rng = random.Random(seed)
    begun = time.monotonic()
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for number in range(STORM):
            tokens = rng.choice([0, 1, 2, 5, 20])
            if tokens:
                route, message = rng.choice(["/api/chat/stream", "/api/chat/openai"]), "head" + " token" * tokens
            else:
                route, message = rng.choice([("/api/chat", "nothing"), ("/api/chat/stream", "head")])
            connection = stack.enter_context(visitor(port, route, message, f"storm-{number}"))
            # Who has heard nothing yet leaves at a time, anybody else at a token.
            leaves_at, at_token = begun + rng.uniform(0, 1), rng.randint(0, tokens)
            selector.register(connection, selectors.EVENT_READ, (leaves_at, at_token, bytearray()))
        while selector.get_map():
            ready = {key.fd for key, _ in selector.select(0.01)}
            for key in list(selector.get_map().values()):
                connection, (leaves_at, at_token, heard) = key.fileobj, key.data
                if key.fd in ready:
                    received = connection.recv(65_536)
                    assert received, "nobody is sent away"
                    heard += received
                has_heard = heard.partition(b"\r\n\r\n")[2].count(b"x")
                if has_heard >= at_token if at_token else time.monotonic() >= leaves_at:
                    selector.unregister(connection)
                    if heard and rng.random() < 0.5:
                        break_off(connection)
                    connection.close()


def held_by(worker: int) -> tuple[Counter[str], int]:
    """What a process has open, by its kind, and how many threads it has."""
    kinds: Counter[str] = Counter()
    for entry in Path(f"/proc/{worker}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            kind = re.sub(r"\d+", "N", str(entry.readlink()))
            # Files are kept open for the next request, a few of them, by the ledger.
            if not kind.startswith("/"):
                kinds[kind] += 1
    return kinds, len(list(Path(f"/proc/{worker}/task").iterdir()))


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_a_storm_of_leavers_leaves_nothing_behind(tmp_path: Path, worker_class: str) -> None:
    with running(
        tmp_path,
        WORKER_CLASS=worker_class,
        REQUEST_TIMEOUT_S=str(DEADLINE_S),
        ADDRESS_CONNECTIONS=str(2 * STORM),
    ) as site:
        with visitor(site.port, "/api/chat/stream", "head token token again", "first") as connection:
            read_until(connection, b"x")
        wait_until(site.calls, "the first call's line")
        wait_until(lambda: held_by(site.worker())[0]["socket:[N]"] == 1, "there is but the listener", 2)
        before, threads_before = held_by(site.worker())

        storm(site.port, seed=1)

        gone = {"first": "client_gone"} | {f"storm-{number}": "client_gone" for number in range(STORM)}
        wait_until(lambda: len(site.calls()) >= len(gone), f"{STORM} lines of calls")
        wait_until(lambda: site.upstream.open == 0, "the upstream has no open exchange", DEADLINE_S + 2)
        wait_until(lambda: site.leases() == 0, "no slot is held", 2)
        wait_until(lambda: held_by(site.worker())[0] == before, "all sockets are closed", 2)
        assert held_by(site.worker())[1] <= threads_before + KEPT_THREADS[worker_class]
        assert site.outcomes() == gone
        assert len(site.calls()) == len(gone) == site.upstream.asked
        site.assert_quiet()
