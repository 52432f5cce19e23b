"""PlainRequest and PlainResponse beside gunicorn's own classes: the same headers, the same refusals, the same bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import InvalidHeader, InvalidHeaderName, ObsoleteFolding, UnsupportedTransferCoding
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import IterUnreader
from gunicorn.http.wsgi import Response

from server.connections.arrival import Arrival, ArrivalLimits, Arrivals, watch_body
from server.http import http_messages
from server.http.http_messages import PlainRequest, PlainResponse
from tests.fakes.tables import each_row

LINE = b"POST /api/chat HTTP/1.1\r\n"
HEADS = {
    "plain": b"Host: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n",
    "spaces around a value": b"Host: \t a \t\r\nX-A:\r\nX-B:b\r\n",
    "a value of Latin-1": b"Host: a\r\nX-A: \xe9\x85\r\n",
    "header without a name": b"Host: a\r\n: b\r\n",
    "space before the colon": b"Host: a\r\nContent-Length : 2\r\n",
    "space before the name": b"Host: a\r\n Content-Length: 2\r\n",
    "name with a space": b"Host: a\r\nContent Length: 2\r\n",
    "line without a colon": b"Host: a\r\nContent-Length\r\n",
    "folded line": b"Host: a\r\nX-A: b\r\n c\r\n",
    "folded first line": b" Host: a\r\n",
    "bare line feed": b"Host: a\nContent-Length: 2\r\n",
    "bare line feed at the end": b"Host: a\r\nContent-Length: 2\n",
    "bare carriage return": b"Host: a\rContent-Length: 2\r\n",
    "carriage return before the line end": b"Host: a\r\r\n",
    "NUL in a value": b"Host: a\x00\r\n",
    "NUL in a name": b"Ho\x00st: a\r\n",
    "vertical tab in a value": b"Host: a\x0b\r\n",
    "DEL in a value": b"Host: a\x7f\r\n",
    "name beyond ASCII": b"Host\xdf: a\r\n",
    "name with an underscore": b"Host: a\r\nContent_Length: 2\r\n",
    "names with other signs": b"Host: a\r\n!#$%&'*+.^`|~: b\r\n",
    "Host twice": b"Host: a\r\nhost: b\r\n",
    "Content-Type twice": b"Content-Type: a\r\nContent-Type: b\r\n",
    "Content-Length twice": b"Host: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n",
    "Content-Length of a list": b"Content-Length: 2, 2\r\n",
    "signed Content-Length": b"Content-Length: +2\r\n",
    "Content-Length of other digits": b"Content-Length: \xb2\r\n",
    "Cookie twice": b"Host: a\r\nCookie: a\r\nCookie: b\r\n",
    "length and coding": b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    "unknown coding": b"Transfer-Encoding: xchunked\r\n",
    "coding twice": b"Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "coding with a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "chunked": b"Host: a\r\nTransfer-Encoding: chunked\r\n",
    "Expect": b"Host: a\r\nExpect: 100-continue\r\n",
    "unknown Expect": b"Host: a\r\nExpect: more\r\n",
    "https behind a proxy": b"Host: a\r\nX-Forwarded-Proto: https\r\n",
    "two schemes": b"Host: a\r\nX-Forwarded-Proto: https\r\nX-Forwarded-SSL: off\r\n",
    "64 headers": b"Host: a\r\n" + b"".join(b"X-%d: a\r\n" % i for i in range(63)),
    "65 headers": b"Host: a\r\n" + b"".join(b"X-%d: a\r\n" % i for i in range(64)),
    "the longest header": b"Host: a\r\n" + b"X-A: %b\r\n" % (b"a" * 8183),
    "a header that is too long": b"X-A: %b\r\n" % (b"a" * 8184),
    "several long headers": b"Host: a\r\n" + b"X-A: %b\r\nX-B: %b\r\n" % (b"a" * 5000, b"b" * 5000),
    "closing": b"Host: a\r\nConnection: close\r\n",
}
LINES = {
    "a path": b"POST /api/chat HTTP/1.1",
    "a query": b"GET /api/usage?day=1&b=%20 HTTP/1.1",
    "an old version": b"GET / HTTP/1.0",
    "an escaped path": b"GET /a%2Fb%C3%A9 HTTP/1.1",
    "a whole URL": b"GET http://a/b?c#d HTTP/1.1",
    "all": b"OPTIONS * HTTP/1.1",
    "a long path": b"GET /%b HTTP/1.1" % (b"a" * 4000),
    "the longest line": b"GET /%b HTTP/1.1" % (b"a" * 4080),
    "a line that is too long": b"GET /%b HTTP/1.1" % (b"a" * 4081),
    "no path": b"GET  HTTP/1.1",
    "no slash": b"GET a HTTP/1.1",
    "a method in small letters": b"get / HTTP/1.1",
    "a control": b"GET /\x01 HTTP/1.1",
    "a bare line feed": b"GET /\nX: HTTP/1.1",
    "a newer version": b"GET / HTTP/2.0",
    "two parts": b"GET /",
    "an empty line before": b"\r\nGET / HTTP/1.1",
    "two empty lines before": b"\r\n\r\nGET / HTTP/1.1",
    "nothing": b"",
}
# Where the message is cut into what arrives together.
ARRIVALS = {
    "whole": (),
    "in the line": (2,),
    "after the line": (12,),
    "before the end of the head": (-3,),
    "apart": (5, -1),
}
BODIES = {
    "of a length": b"Host: a\r\nContent-Length: 5\r\n\r\nHello",
    "of no length": b"Host: a\r\n\r\n",
    "empty": b"Host: a\r\nContent-Length: 0\r\n\r\n",
    "in chunks": b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r\n",
    "in broken chunks": b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHelloo\r\n0\r\n\r\n",
    "that ends too early": b"Host: a\r\nContent-Length: 500\r\n\r\nHello",
}
HOSTILE = {
    "spaces": b"X-A:" + b" " * 8000 + b"\x00\r\n",
    "tabs": b"X-A:" + b"\t " * 4000 + b"\r",
    "letters": b"a" * 8000 + b"\r\n",
}
ANSWERS: dict[str, list[tuple[str, object]]] = {
    "plain": [("Content-Type", "a/b"), ("Content-Length", "2"), ("X-A", " b ")],
    "without a length": [("Content-Type", "a/b")],
    "hop-by-hop": [("Connection", "close"), ("Transfer-Encoding", "chunked"), ("Content-Length", "2")],
    "upgrade": [("Connection", "Upgrade"), ("Upgrade", "websocket")],
    "line break in a value": [("X-A", "b\r\nX-B: c")],
    "line break in a name": [("X-A\r\nX-B", "c")],
    "length twice": [("Content-Length", "2"), ("content-length", "3")],
    "length of no number": [("Content-Length", "two")],
    "not ASCII": [("X-A", "\xe9"), ("X-B", "\u20ac")],
    "name of bytes": [(b"X-A", "c")],  # type: ignore[list-item]
    "value of a number": [("X-A", 1)],
}


def _make_config() -> Config:
    config = Config()
    config.set("limit_request_fields", 64)
    return config


_CONFIG = _make_config()


def _read(request_class: type[Request], head: bytes, peer: str, line: bytes = LINE) -> object:
    try:
        request = request_class(_CONFIG, IterUnreader([line + head + b"\r\n{}"]), (peer, 1))
    except Exception as error:
        return type(error), str(error)
    return (
        request.headers,
        request.scheme,
        request.should_close(),
        request._expected_100_continue,
        _read_body(request.body),
    )


def _read_body(body: Any) -> object:
    try:
        return body.read()
    except Exception as error:
        return type(error), str(error)


@each_row("peer", ["127.0.0.1", "203.0.113.1"])
@each_row("head", HEADS.values(), ids=HEADS)
def test_a_head_is_read_as_gunicorn_reads_it(head: bytes, peer: str) -> None:
    assert _read(PlainRequest, head, peer) == _read(Request, head, peer)


@each_row(
    ("head", "refusal"),
    [
        (b"Host: a\r\nTransfer-Encoding: chunked\r\n", None),
        (b"Host: a\r\nTransfer-Encoding: \t Chunked \r\n", None),
        (b"Host: a\r\n", None),
        (b"Transfer-Encoding: gzip, chunked\r\n", UnsupportedTransferCoding),
        (b"Transfer-Encoding: GZIP,\tchunked\r\n", UnsupportedTransferCoding),
        (b"Transfer-Encoding: deflate, chunked\r\n", UnsupportedTransferCoding),
        (b"Transfer-Encoding: compress, chunked\r\n", UnsupportedTransferCoding),
        (b"Transfer-Encoding: gzip, deflate, chunked\r\n", UnsupportedTransferCoding),
        (b"Transfer-Encoding: identity, chunked\r\n", UnsupportedTransferCoding),
        (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", UnsupportedTransferCoding),
        (b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", UnsupportedTransferCoding),
        (b"Transfer-Encoding: gzip, chunked\r\nContent-Length: 2\r\n", UnsupportedTransferCoding),
        (b"Transfer-Encoding: x-gzip, chunked\r\n", UnsupportedTransferCoding),
        (b"Transfer-Encoding: br, chunked\r\n", UnsupportedTransferCoding),
        (b"Transfer-Encoding: , chunked\r\n", UnsupportedTransferCoding),
        (b"Transfer-Encoding: chunked;q=1\r\n", UnsupportedTransferCoding),
        (b'Transfer-Encoding: "chunked"\r\n', UnsupportedTransferCoding),
        (b"Transfer-Encoding: x-gzip\r\n", UnsupportedTransferCoding),
        (b"Transfer-Encoding:\r\n", UnsupportedTransferCoding),
        (b"Transfer-Encoding: chunked, chunked\r\n", InvalidHeader),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", InvalidHeader),
        (b"Transfer-Encoding: chunked, gzip\r\n", InvalidHeader),
        (b"Transfer-Encoding: chunked, identity\r\n", InvalidHeader),
        (b"Transfer-Encoding: gzip\r\n", InvalidHeader),
        (b"Transfer-Encoding: identity\r\n", InvalidHeader),
        (b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n", InvalidHeader),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", InvalidHeader),
        (b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", InvalidHeader),
        (b"Transfer-Encoding: gzip,\r\n chunked\r\n", ObsoleteFolding),
        (b"Transfer-Encoding:\r\n chunked\r\n", ObsoleteFolding),
        (b"Transfer-Encoding : chunked\r\n", InvalidHeaderName),
        (b"X-A: b\r\nX-A: c\r\nTransfer-Encoding: gzip, chunked\r\n", UnsupportedTransferCoding),
    ],
)
def test_a_body_is_in_plain_chunks_or_refused(head: bytes, refusal: type[Exception] | None) -> None:
    read = _read(PlainRequest, head, "127.0.0.1")

    assert (read[0] if isinstance(read[0], type) else None) is refusal  # type: ignore[index]


@pytest.mark.parametrize("head", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_head_costs_no_more_than_its_length(head: bytes) -> None:
    began = time.process_time()
    assert _read(PlainRequest, head, "127.0.0.1") == _read(Request, head, "127.0.0.1")
    assert time.process_time() - began < 0.1  # with two parts that match the same character: a second


NO_HOST = (InvalidHeader, "Invalid HTTP Header: 'HOST'")


@each_row(
    "head",
    [b"", b"Content-Length: 2\r\n", b"X-Host: a\r\n", b"Cookie: a\r\nCookie: b\r\n", b"Expect: 100-continue\r\n"],
)
def test_only_an_old_version_needs_no_host(head: bytes) -> None:
    assert _read(PlainRequest, head, "127.0.0.1") == NO_HOST
    assert _read(PlainRequest, head, "127.0.0.1", b"GET http://a/ HTTP/1.1\r\n") == NO_HOST

    old = b"GET /healthz HTTP/1.0\r\n"
    assert _read(PlainRequest, head, "127.0.0.1", old) == _read(Request, head, "127.0.0.1", old)


@each_row(
    ("value", "version", "closes"),
    [
        (b"TE, close", b"1.1", True),
        (b"Close ,TE", b"1.1", True),
        (b"close\r\nX-A: b\r\nX-A: c", b"1.1", True),
        (b"keep-alive\r\nConnection: close", b"1.1", True),
        (b"keep-alive, close", b"1.0", True),
        (b"closed, not-close", b"1.1", False),
        (b"keep-alive", b"1.1", False),
        (b"keep-alive", b"1.0", False),
        (b"TE", b"1.0", True),
    ],
)
def test_a_client_that_closes_is_understood_in_any_list(value: bytes, version: bytes, closes: bool) -> None:
    head, line = b"Host: a\r\nConnection: %b\r\n" % value, b"GET / HTTP/%b\r\n" % version

    assert _read(PlainRequest, head, "127.0.0.1", line)[2] is closes  # type: ignore[index]


def _read_environ(request_class: type[Request], create: Callable[..., Any], pieces: list[bytes]) -> object:
    client, server = ("203.0.113.1", 1234), ("127.0.0.1", 8000)
    try:
        request = request_class(_CONFIG, IterUnreader(pieces), client)
        _, environ = create(request, SimpleNamespace(send=print), client, server, _CONFIG)
    except (Exception, StopIteration) as error:
        return type(error), str(error)
    left_out = ("wsgi.early_hints", "wsgi.errors", "gunicorn.socket", "wsgi.input")
    return {name: value for name, value in environ.items() if name not in left_out}, _read_body(
        environ["wsgi.input"]
    )


@each_row("cuts", ARRIVALS.values(), ids=ARRIVALS)
@each_row("line", LINES.values(), ids=LINES)
def test_a_line_is_read_as_gunicorn_reads_it_however_it_arrives(line: bytes, cuts: tuple[int, ...]) -> None:
    message = line + b"\r\n" + HEADS["plain"] + b"\r\n{}"
    places = sorted({0, len(message), *(cut % len(message) for cut in cuts)})
    pieces = [message[begin:end] for begin, end in pairwise(places)]

    expected = _read_environ(Request, http_messages._gunicorns_create, pieces)

    for _ in range(2):  # the second time it is a line that is known
        assert _read_environ(PlainRequest, http_messages._create, pieces) == expected


@each_row("head", HEADS.values(), ids=HEADS)
def test_an_application_is_told_of_a_head_what_gunicorn_tells_it(head: bytes) -> None:
    pieces = [LINE + head + b"\r\n{}"]

    assert _read_environ(PlainRequest, http_messages._create, pieces) == _read_environ(
        Request, http_messages._gunicorns_create, pieces
    )


def test_a_query_is_not_remembered() -> None:
    known = http_messages._parse_line.cache_info().currsize

    _read(PlainRequest, b"", "127.0.0.1", b"GET /api/stream?access_token=secret HTTP/1.1\r\n")

    assert http_messages._parse_line.cache_info().currsize == known


def _read_two(message: bytes, reads: tuple[int, ...], finish: Callable[..., bool]) -> object:
    """Return what the application reads of a body, whether it can be finished, and what is then found after it."""
    parser = RequestParser(
        _CONFIG, iter([LINE + message, LINE + b"Host: a\r\nX-Next: yes\r\n\r\n"]), ("127.0.0.1", 1)
    )
    first = next(parser)
    arrivals = Arrivals(ArrivalLimits(request_s=60, idle_s=5, connections=None, slow_requests=None), print)
    first.body = watch_body(first.body, Arrival(arrivals, None))
    found: list[object] = []
    try:
        found += [first.body.read(size) for size in reads]
        found.append(finish(parser))
        found.append(next(parser).headers)
    except Exception as error:
        found.append(type(error))
    return found


@each_row("reads", [(), (2,), (5,), (6,), (2, 3), (2, 3, 1)])
@each_row("message", BODIES.values(), ids=BODIES)
def test_what_is_left_of_a_body_is_skipped_as_by_gunicorn(message: bytes, reads: tuple[int, ...]) -> None:
    assert _read_two(message, reads, http_messages.finish_body) == _read_two(
        message, reads, http_messages._gunicorns_finish_body
    )


def _read_all(request_class: type[Request], finish: Callable[..., bool], pieces: list[bytes]) -> list[object]:
    """Return what a connection's requests and their bodies are, and how it ends."""
    parser = RequestParser(_CONFIG, iter(pieces), ("127.0.0.1", 1))
    parser.mesg_class = request_class
    parser.finish_body = lambda: finish(parser)
    found: list[object] = []
    try:
        for request in parser:
            found += [request.method, request.headers, request.body.read(2), _read_body(request.body)]
    except Exception as error:
        found.append(type(error))
    return found


@each_row("cuts", [(), (60,), (70,), (75,), (150,), (-1,), (30, 68, 160)])
@each_row("first", BODIES.values(), ids=BODIES)
def test_requests_of_one_connection_are_told_apart_as_by_gunicorn(first: bytes, cuts: tuple[int, ...]) -> None:
    message = b"".join(
        LINE + body for body in (first, BODIES["of a length"], BODIES["empty"], b"Host: a\r\nX: y\r\n\r\n")
    )
    places = sorted({0, len(message), *(cut % len(message) for cut in cuts)})
    pieces = [message[begin:end] for begin, end in pairwise(places)]

    expected = _read_all(Request, http_messages._gunicorns_finish_body, pieces)

    assert _read_all(PlainRequest, http_messages.finish_body, pieces) == expected


def test_what_is_written_to_the_errors_of_a_request_is_in_gunicorns_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = _make_config()
    config.set("errorlog", "-")
    errors = http_messages._Errors(config)

    errors.write("one\n")
    errors.writelines(["two\n"])
    errors.flush()

    assert capsys.readouterr().err == "one\ntwo\n"


def _write(response_class: type[Response], headers: list[tuple[str, object]]) -> object:
    written: list[bytes] = []
    request = SimpleNamespace(version=(1, 1), method="POST", should_close=lambda: False)
    response = response_class(request, SimpleNamespace(sendall=written.append), _CONFIG)
    try:
        response.start_response("200 OK", headers)
        response.write(b"{}")
        response.close()
    except Exception as error:
        return type(error), response.headers
    return b"".join(written)


@each_row("headers", ANSWERS.values(), ids=ANSWERS)
def test_a_response_is_written_as_gunicorn_writes_it(
    headers: list[tuple[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.5)
    assert _write(PlainResponse, headers) == _write(Response, headers)
