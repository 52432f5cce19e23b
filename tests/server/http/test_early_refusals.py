"""Requests that are refused by their heads: the answer comes before any of the body is sent.

`make test` has one of each kind, in tests/server/connections/test_arriving_requests.py.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.fakes.servers import FakeUpstream, free_port, gunicorn
from tests.fakes.wire.bodies import EVERY_ROUTE

pytestmark = pytest.mark.servers

MAX_JSON_BYTES, MAX_BODY_BYTES = 20_000, 60_000
JSON, FORM = "application/json", "multipart/form-data; boundary=b"
HELLO = b'{"message": "Hello"}'
OTHER_ROUTES = ("/api/batches", "/api/tokens", "/embed/ask")


@pytest.fixture(scope="module", params=["gevent", "gthread"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    free = free_port()
    settings = {"MAX_JSON_BYTES": str(MAX_JSON_BYTES), "MAX_BODY_BYTES": str(MAX_BODY_BYTES)}
    with (
        FakeUpstream() as upstream,
        gunicorn(
            wait_for=free,
            PORT=str(free),
            WEB_CONCURRENCY="1",
            WORKER_CLASS=request.param,
            OPENAI_BASE_URL=upstream.url,
            **settings,
        ),
    ):
        yield free


def send_head(sock: socket.socket, path: str, length: int, kind: str = JSON, *more: str) -> None:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {kind}", f"Content-Length: {length}", *more]
    sock.sendall("\r\n".join([*lines, "", ""]).encode())


def read_all(sock: socket.socket) -> tuple[bytes, bytes]:
    """Read until the server closes; return the head of the first answer, and the rest."""
    received = b""
    while data := sock.recv(65_536):
        received += data
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 20)


@pytest.mark.parametrize("expect", [(), ("Expect: 100-continue",)])
def test_a_body_that_is_too_large_by_its_length_is_refused_before_it_comes(
    port: int, expect: tuple[str, ...]
) -> None:
    """The client sends the head, then waits for the answer: each read has twenty seconds, which it never needs."""
    cases = [(route, kind) for route in EVERY_ROUTE for kind in (JSON, FORM) if kind == JSON or "vision" in route]
    for route, kind in [*cases, *((route, JSON) for route in OTHER_ROUTES)]:
        with connect(port) as sock:
            send_head(sock, route, MAX_BODY_BYTES + 1, kind, "Connection: close", *expect)
            head, _ = read_all(sock)
        status = int(head.split(b" ")[1])
        # Some routes want a key, or a form, and say so first.
        assert status in ({413} if route in EVERY_ROUTE else {401, 403, 413, 415}), (route, kind, head)


def test_who_waits_to_be_asked_for_the_body_is_asked_when_it_is_read(port: int) -> None:
    with connect(port) as sock:
        send_head(sock, "/api/chat", len(HELLO), JSON, "Expect: 100-continue")
        assert sock.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(HELLO)
        head, rest = read_all(sock)
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert json.loads(rest)["reply"] == "Hello there"


@pytest.mark.parametrize(
    ("path", "length", "status"), [("/api/nothing", 9, 404), ("/api/embeddings", 20_001, 413)]
)
def test_who_is_refused_is_not_asked_for_the_body_and_the_connection_ends(
    port: int, path: str, length: int, status: int
) -> None:
    """Nobody knows whether the body follows, so what follows must not be taken for a request."""
    with connect(port) as sock:
        send_head(sock, path, length, JSON, "Expect: 100-continue")
        head, rest = read_all(sock)
        assert head.startswith(b"HTTP/1.1 %d " % status), head
        assert b"connection: close" in head.lower()
        assert b"HTTP/1.1" not in rest


@pytest.mark.parametrize("arrived", [b'{"messages": [{"parts": [', b'{"message": "'])
def test_the_form_of_a_refusal_depends_on_what_has_arrived(port: int, arrived: bytes) -> None:
    head = f"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\nContent-Length: {MAX_BODY_BYTES + 1}"
    with connect(port) as sock:
        sock.sendall(head.encode() + b"\r\nConnection: close\r\n\r\n" + arrived)
        sock.shutdown(socket.SHUT_WR)
        answer, body = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 413 ")
    sentence = "The body is larger than this server accepts."
    assert body.decode() == sentence if b"parts" in arrived else json.loads(body)["error"] == sentence
