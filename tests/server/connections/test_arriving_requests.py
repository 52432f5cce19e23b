"""Requests that arrive slowly, in part, in chunks or in crowds, at both kinds of worker."""

from __future__ import annotations

import json
import re
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import pytest
from gunicorn.config import Config
from gunicorn.http.body import Body, ChunkedReader, LengthReader
from gunicorn.http.errors import NoMoreData
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader

from server.connections.arrival import Arrival, ArrivalLimits, Arrivals, ArrivingBody, ArrivingSocket, watch_body
from server.http import http_messages
from tests.fakes.servers import FakeUpstream, Gunicorn, exchange, free_port, gunicorn, wait_until

TIMEOUT_S = 5
MAX_JSON_BYTES = 30_000
SLOW_REQUESTS = 8
CONNECTIONS = 40
CROWD = "127.0.0.9"
CHAT = b"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
FORM = b"POST /api/vision HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
HELLO = b'{"message": "Hello"}'
PROMPT = b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nHi\r\n--b--\r\n'


@dataclass
class Target:
    port: int
    upstream: FakeUpstream
    server: Gunicorn

    def connect(self, address: str = CROWD) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), 20, source_address=(address, 0))
        sock.settimeout(20)
        return sock

    def send(self, *pieces: bytes, ends: bool = False) -> tuple[int, bytes]:
        """Send a request in pieces, and return the answer's status and body."""
        with self.connect("127.0.0.1") as sock:
            for piece in pieces:
                sock.sendall(piece)
            if ends:
                with suppress(OSError):  # the server may have closed the connection already
                    sock.shutdown(socket.SHUT_WR)
            return read_answer(sock)


def read_answer(sock: socket.socket) -> tuple[int, bytes]:
    received = b""
    while b"\r\n\r\n" not in received and (data := sock.recv(65_536)):
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


def chunks(data: bytes, size: int) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join([b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces])


def count_lines(target: Target) -> Counter[int]:
    """The `request` lines of what was refused for being slow."""
    found = re.findall(r" request request_id=.* status=(408|429) ", target.server.log())
    return Counter(map(int, found))


@pytest.fixture(scope="module", params=["gevent", pytest.param("gthread", marks=pytest.mark.neighbours)])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    port = free_port()
    with (
        FakeUpstream() as upstream,
        gunicorn(
            wait_for=port,
            PORT=str(port),
            WEB_CONCURRENCY="1",
            WORKER_CLASS=request.param,
            OPENAI_BASE_URL=upstream.url,
            REQUEST_TIMEOUT_S=str(TIMEOUT_S),
            MAX_JSON_BYTES=str(MAX_JSON_BYTES),
            MAX_BODY_BYTES=str(2 * MAX_JSON_BYTES),
            ADDRESS_SLOW_REQUESTS=str(SLOW_REQUESTS),
            ADDRESS_CONNECTIONS=str(CONNECTIONS),
        ) as server,
    ):
        yield Target(port, upstream, server)


def test_whole_bodies_are_served(target: Target) -> None:
    length = b"Content-Length: %d\r\n" % len(HELLO)
    assert target.send(CHAT + length + b"\r\n" + HELLO)[0] == 200
    assert target.send(CHAT + length + b"Expect: 100-continue\r\n\r\n" + HELLO)[0] == 100
    assert target.send(CHAT + b"Transfer-Encoding: chunked\r\n\r\n" + chunks(HELLO, 3) + b"0\r\n\r\n")[0] == 200
    padded = HELLO + b" " * (MAX_JSON_BYTES - len(HELLO))
    head = CHAT + b"Transfer-Encoding: chunked\r\n\r\n"
    assert target.send(head + chunks(padded, 10_000) + b"0\r\n\r\n")[0] == 200


CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
LARGE = HELLO + b" " * MAX_JSON_BYTES
LARGE_FORM = PROMPT + b"x" * 2 * MAX_JSON_BYTES


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (CHAT + b"Content-Length: 100\r\n\r\n" + HELLO, 400),
        (CHAT.replace(b"1.1", b"1.0") + b"Content-Length: 100\r\n\r\n" + HELLO, 400),
        (FORM + b"Content-Length: 1000\r\n\r\n" + PROMPT, 400),
        (CHAT + CHUNKED + chunks(HELLO, 5), 400),
        (CHAT + CHUNKED + b"14\r\n" + HELLO[:10], 400),
        (CHAT + CHUNKED + b"ZZ\r\n" + HELLO + b"\r\n0\r\n\r\n", 400),
        (CHAT + CHUNKED + b"5\r\n" + HELLO + b"\r\n0\r\n\r\n", 400),
        (FORM + CHUNKED + chunks(PROMPT, 50), 400),
        (
            CHAT + b"Content-Length: 20\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(HELLO, 5) + b"0\r\n\r\n",
            400,
        ),
        (CHAT + CHUNKED + chunks(LARGE, 10_000) + b"0\r\n\r\n", 413),
        (CHAT + b"Content-Length: %d\r\n\r\n" % len(LARGE) + LARGE, 413),
        (FORM + CHUNKED + chunks(LARGE_FORM, 10_000) + b"0\r\n\r\n", 413),
        (FORM + b"Content-Length: %d\r\n\r\n" % len(LARGE_FORM) + LARGE_FORM, 413),
    ],
    ids=[
        "short",
        "short, HTTP/1.0",
        "short form",
        "chunks without an end",
        "chunk without its end",
        "no chunk",
        "chunk longer than it says",
        "form in chunks without an end",
        "two lengths",
        "large chunks",
        "large",
        "large form in chunks",
        "large form",
    ],
)
def test_a_body_that_is_not_as_announced_is_neither_served_nor_charged(
    target: Target, request_bytes: bytes, status: int
) -> None:
    before = len(target.upstream.received)

    answered, _ = target.send(request_bytes, ends=True)

    assert answered == status
    assert len(target.upstream.received) == before
    assert not target.server.faults()


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
@pytest.mark.parametrize(
    ("path", "length", "status"),
    [
        (b"/api/chat", 2 * MAX_JSON_BYTES + 1, 413),
        (b"/api/embeddings", MAX_JSON_BYTES + 1, 413),
        (b"/api/nothing", 9, 404),
    ],
)
def test_who_is_refused_by_the_head_is_answered_before_the_body_and_never_asked_for_it(
    target: Target, path: bytes, length: int, status: int, expect: bytes
) -> None:
    """tests/server/http/test_early_refusals.py has more of these, for every route."""
    head = CHAT.replace(b"/api/chat", path) + b"Connection: close\r\nContent-Length: %d\r\n" % length
    with target.connect("127.0.0.1") as sock:
        sock.sendall(head + expect + b"\r\n")
        answer = b"".join(iter(lambda: sock.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1") == 1


def test_a_refusal_is_a_text_for_who_has_begun_to_send_what_only_the_ai_sdk_sends(target: Target) -> None:
    head = CHAT + b"Content-Length: %d\r\n\r\n" % (2 * MAX_JSON_BYTES + 1)
    answered, body = target.send(head + b'{"messages": [{"parts": [', ends=True)
    assert (answered, body) == (413, b"The body is larger than this server accepts.")


@pytest.mark.servers
def test_one_address_with_slow_requests_leaves_the_others_served(target: Target) -> None:
    body, before = CHAT + b"Content-Length: 10000\r\n\r\n{", count_lines(target)
    crowd = [target.connect() for _ in range(CONNECTIONS - 2)]
    try:
        for number, sock in enumerate(crowd):
            sock.sendall(body if number % 2 else CHAT)
        answers: Counter[int] = Counter()

        def drip() -> bool:
            ready, _, _ = select.select(crowd, [], [], 0)
            for sock in ready:
                answers[read_answer(sock)[0]] += 1
                crowd.remove(sock)
                sock.close()
            for sock in crowd:
                try:
                    sock.sendall(b"x")
                except OSError:
                    continue
            return not crowd

        with exchange(target.port, "POST", "/api/chat", {"message": "Hi"}) as response:
            assert response.status == 200
        wait_until(drip, "each of the crowd is let go", timeout_s=TIMEOUT_S + 10)
    finally:
        for sock in crowd:
            sock.close()
    assert answers == {429: CONNECTIONS - 2 - SLOW_REQUESTS, 408: SLOW_REQUESTS}
    wait_until(lambda: count_lines(target) - before == answers, "each has its line of the log")
    assert "reason=slow_head" in target.server.log() or "reason=slow_requests" in target.server.log()
    with exchange(target.port, "POST", "/api/chat", {"message": "Hi"}, from_address=CROWD) as response:
        assert response.status == 200


@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_request_is_slow_only_until_it_has_been_read(in_chunks: bool) -> None:
    arrivals = Arrivals(ArrivalLimits(request_s=60, idle_s=5, connections=9, slow_requests=1), print)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(chunks(HELLO, 3) + b"0\r\n\r\n" if in_chunks else HELLO)
        unreader = SocketUnreader(ours)
        reader = ChunkedReader(None, unreader) if in_chunks else LengthReader(unreader, len(HELLO))
        arrival = arrivals.admit(("192.0.2.1", 1))
        assert arrival is not None
        arrival.begun_at, arrival.is_in_body = time.monotonic() - 3, True
        arrival.find_patience_s()
        body = ArrivingBody(Body(reader), arrival)

        assert not arrivals.admit_slow("192.0.2.1")
        assert body.read(1_000) == HELLO
        assert arrivals.admit_slow("192.0.2.1")
        arrivals.end_slow("192.0.2.1")
        arrival.end()
        assert arrivals.admit_slow("192.0.2.1")


@pytest.mark.parametrize(
    ("path", "status", "connection"),
    [
        ("/api/chat", 413, "keep-alive"),
        ("/nowhere", 404, "close"),
        pytest.param("/api/chat", 413, "close", marks=pytest.mark.servers),
        pytest.param("/nowhere", 404, "keep-alive", marks=pytest.mark.servers),
        pytest.param("/v1/embeddings", 413, "keep-alive", marks=pytest.mark.servers),
        pytest.param("/v1/embeddings", 413, "close", marks=pytest.mark.servers),
    ],
)
def test_who_sends_a_large_body_before_reading_gets_the_answer(
    target: Target, path: str, status: int, connection: str
) -> None:
    headers = {"Content-Type": "application/json", "Connection": connection}
    with exchange(target.port, "POST", path, b"x" * 8_000_000, headers=headers) as response:
        assert response.status == status
        assert "error" in json.loads(response.read())
    assert not target.server.faults()


@pytest.mark.parametrize(
    ("header", "status"), [(b"X-A: b", 400), (b"Host: x\r\nCookie: " + b"c" * 9000, 431)], ids=["no host", "large"]
)
def test_who_sends_a_large_body_before_reading_gets_a_refusal_of_the_head(
    target: Target, header: bytes, status: int
) -> None:
    head = b"POST /api/chat HTTP/1.1\r\n" + header + b"\r\nContent-Length: 8000000\r\n\r\n"
    assert target.send(head, b"x" * 8_000_000)[0] == status
    assert not target.server.faults()


class _Client(ArrivingSocket, socket.socket):
    """The server's end of a connection."""


@contextmanager
def answered_early() -> Iterator[tuple[Arrival, RequestParser, socket.socket]]:
    """A request that a worker has answered before its 20,000 bytes have come."""
    refusals: list[object] = []
    limits = ArrivalLimits(request_s=60, idle_s=0.01, connections=9, slow_requests=0)
    arrival = Arrivals(limits, lambda *refusal: refusals.append(refusal)).admit(("192.0.2.1", 1))
    assert arrival is not None
    ours, theirs = socket.socketpair()
    with _Client(fileno=ours.detach()) as client, theirs:
        client.arrival = arrival
        parser = RequestParser(Config(), client, ("192.0.2.1", 1))
        theirs.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n")
        request = next(parser)
        request.body, arrival.is_in_body = ArrivingBody(request.body, arrival), True
        arrival.is_answered = True
        yield arrival, parser, theirs
        assert not refusals
        assert not select.select([theirs], [], [], 0)[0], "the client gets no second answer"


@pytest.mark.parametrize("finish_body", [RequestParser.finish_body, http_messages.finish_body])
@pytest.mark.parametrize("unread", [15_000, 0])
def test_a_request_that_is_answered_leaves_the_next_one_its_own_time(
    finish_body: Callable[[RequestParser], bool], unread: int
) -> None:
    with answered_early() as (arrival, parser, theirs):
        theirs.sendall(b"x" * 20_000)
        assert len(parser.mesg.body.read(20_000 - unread)) == 20_000 - unread

        assert finish_body(parser)
        assert arrival.begun_at is None
        with pytest.raises(NoMoreData):  # it is idle, and closed as every idle connection is
            next(parser)


def test_requests_that_come_whole_on_one_connection_have_each_their_own_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RequestParser, "mesg_class", RequestParser.mesg_class)
    monkeypatch.setattr(RequestParser, "finish_body", RequestParser.finish_body)
    http_messages.install_request()  # what both kinds of worker have
    arrivals = Arrivals(ArrivalLimits(request_s=60, idle_s=5, connections=9, slow_requests=0), print)
    arrival = arrivals.admit(("192.0.2.1", 1))
    assert arrival is not None
    ours, theirs = socket.socketpair()
    with _Client(fileno=ours.detach()) as client, theirs:
        client.arrival = arrival
        parser = RequestParser(Config(), client, ("192.0.2.1", 1))
        for path in (b"/", b"/v1"):
            theirs.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
            request = next(parser)
            assert request.uri == path.decode()
            request.body, arrival.is_in_body = watch_body(request.body, arrival), True
            arrival.is_answered = True
            assert parser.finish_body(deadline=time.monotonic() + 5)
            assert arrival.begun_at is None


def test_a_client_that_sends_on_slowly_after_its_answer_is_not_answered_again() -> None:
    with answered_early() as (arrival, parser, _):
        arrival.begun_at = time.monotonic() - 3

        assert not parser.finish_body()


def test_one_address_with_many_connections_leaves_the_others_served(target: Target) -> None:
    crowd = [target.connect() for _ in range(CONNECTIONS)]
    try:
        with target.connect() as late:
            status, body = read_answer(late)
        refusal = json.loads(body)
        assert (status, refusal["code"]) == (429, "concurrency_limit")
        line = f"request request_id={refusal['requestId']} route=none status=429 code=concurrency_limit reason=connections"
        wait_until(lambda: line in target.server.log(), "the line of the log")
        with exchange(target.port, "POST", "/api/chat", {"message": "Hi"}) as response:
            assert response.status == 200
    finally:
        for sock in crowd:
            sock.close()
    wait_until(lambda: _is_served(target), "the address is served again")


def _is_served(target: Target) -> bool:
    with exchange(target.port, "GET", "/healthz", from_address=CROWD) as response:
        return response.status == 200


def test_clients_that_keep_their_answered_connections_open_keep_nobody_waiting(target: Target) -> None:
    ask = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    began = time.monotonic()
    with ExitStack() as held:
        for _ in range(8):
            sock = held.enter_context(target.connect("127.0.0.1"))
            sock.sendall(ask)
            assert read_answer(sock)[0] == 200
        took_s = time.monotonic() - began
        wait_until(lambda: _is_reset(sock), "the server has closed what its client does not close")
    assert took_s < 7, "gunicorn waits for each for two seconds, and accepts nobody meanwhile"


def _is_reset(sock: socket.socket) -> bool:
    try:
        sock.sendall(b"x")
    except ConnectionError:
        return True
    return False
