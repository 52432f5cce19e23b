"""How servers really behave, compared with httpx2: plain answers, streams, and refusals while a large body is sent."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import zlib
from contextlib import closing, contextmanager

import brotli
import httpx2
import pytest

from app.upstream_http.call_state import CallState
from app.upstream_http.client import UpstreamClient
from app.upstream_http.decoding import zstd
from app.upstream_http.proxies import is_exempt
from tests.fakes.stopwatch import Stopwatch
from tests.fakes.tables import crossed, each_row
from tests.fakes.upstreams.raw_server import CLOSE, HALF_CLOSE, READ, RESET, RawServer, answer, chunked

# Nothing is encrypted, and to load certificates for each client takes longer than all the rest.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
OK = answer({"a": 1})
REFUSAL = answer({"error": 1}, status="413 Content Too Large")
NO_KEY = answer({"error": 1}, "Connection: close", status="401 Unauthorized")
HEAD, ONE, TWO, END = chunked(b"one", b"two")
TEXT = b'{"a": "' + b"x" * 5000 + b'"}'
DEFLATED = zlib.compress(TEXT)


def encoded(body, coding):
    return [READ, answer(body, f"Content-Encoding: {coding}")]


def in_chunks(coding, *parts):
    head, *rest = chunked(*parts)
    return [READ, head[:-2] + f"Content-Encoding: {coding}\r\n\r\n".encode(), *rest]


def gzip_chunks():
    packer = zlib.compressobj(wbits=31)
    parts = [packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH) for part in (b"one", b"two")]
    return in_chunks("gzip", *parts, packer.flush())


def brotli_chunks():
    packer = brotli.Compressor()
    parts = [packer.process(part) + packer.flush() for part in (b"one", b"two")]
    return in_chunks("br", *parts, packer.finish())


def zstd_chunks():
    packer = zstd.ZstdCompressor()
    parts = [packer.compress(part, packer.FLUSH_BLOCK) for part in (b"one", b"two")]
    return in_chunks("zstd", *parts, packer.flush())


LIKE_HTTPX = {
    "well": [READ, OK],
    "refusal, then closed": [REFUSAL, CLOSE],
    "refusal, nothing read, broken off": [REFUSAL, 0.05, RESET],
    "refusal, read on": [REFUSAL],
    "refusal, half closed": [NO_KEY, HALF_CLOSE],
    "answer before the request, read on": [OK],
    "interim": [b"HTTP/1.1 100 Continue\r\n\r\n", READ, OK],
    "reset after the answer": [READ, OK, RESET],
    "reset after chunks": [READ, HEAD, ONE, END, RESET],
    "half closed after the answer": [READ, OK, HALF_CLOSE],
    "half closed without one": [READ, HALF_CLOSE],
    "half closed, no length": [READ, b"HTTP/1.1 200 OK\r\n\r\nhello", HALF_CLOSE],
    "gzip": encoded(gzip.compress(TEXT), "gzip"),
    "gzip in capitals": encoded(gzip.compress(TEXT), "GZIP"),
    "gzip twice": encoded(gzip.compress(gzip.compress(TEXT)), "gzip, gzip"),
    "gzip in chunks": gzip_chunks(),
    "deflate": encoded(DEFLATED, "deflate"),
    "deflate without its header": encoded(DEFLATED[2:-4], "deflate"),
    "brotli": encoded(brotli.compress(TEXT), "br"),
    "brotli of much": encoded(brotli.compress(TEXT * 40), "br"),
    "brotli in chunks": brotli_chunks(),
    "zstd": encoded(zstd.compress(TEXT), "ZStd"),
    "zstd of much": encoded(zstd.compress(TEXT * 40), "zstd"),
    "zstd in two frames": encoded(zstd.compress(TEXT) * 2, "zstd"),
    "zstd in chunks": zstd_chunks(),
    "zstd in gzip": encoded(gzip.compress(zstd.compress(TEXT)), "zstd, gzip"),
    "identity": encoded(TEXT, "identity"),
    "broken chunk": [READ, HEAD + ONE + b"zz\r\n"],
    "broken chunk later": [READ, HEAD + ONE, 0.02, b"zz\r\n"],
    "bare LF": [READ, OK.replace(b"\r\n", b"\n")],
    "spaces behind the size": [READ, HEAD + b"3  \r\none\r\n0\r\n\r\n"],
    "length and chunks": [READ, HEAD[:-2] + b"Content-Length: 6\r\n\r\n", ONE, TWO, END],
    "folded header": [READ, OK.replace(b"\r\n\r\n", b"\r\nX-A: b\r\n c\r\n\r\n")],
}


def head(*lines, status="200 OK", version="1.1", body=b'{"a": 1}'):
    return [READ, "\r\n".join([f"HTTP/{version} {status}", *lines, "", ""]).encode() + body]


EIGHT = "Content-Length: 8"
SMALL_LIKE_HTTPX = {
    "early hints": [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", READ, OK],
    "processing, three times": [READ, *[b"HTTP/1.1 102 Processing\r\n\r\n"] * 3, OK],
    "interim with a length": [READ, b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n" + OK],
    "connection close": [READ, answer({"a": 1}, "Connection: close"), CLOSE],
    "HTTP/1.0": [READ, answer({"a": 1}, version="1.0"), CLOSE],
    "HTTP/1.0 without length": [*head(version="1.0"), CLOSE],
    "HTTP/1.0 that is kept": [READ, answer({"a": 1}, "Connection: keep-alive", version="1.0")],
    "HTTP/1.2": head(EIGHT, version="1.2"),
    "HTTP/1.2 without length": [*head(version="1.2"), CLOSE],
    "HTTP/1.9 in chunks": [READ, HEAD.replace(b"HTTP/1.1", b"HTTP/1.9"), ONE, END],
    "HTTP/3.0": head(EIGHT, version="3.0"),
    "HTTP/0.9": head(EIGHT, version="0.9"),
    "HTTP/2": head(EIGHT, version="2"),
    "HTTP/1.10": head(EIGHT, version="1.10"),
    "HTTP/1.1 and two spaces": head(EIGHT, status=" 200 OK"),
    "http/1.1": [READ, head(EIGHT)[1].replace(b"HTTP", b"http")],
    "four digits": head(EIGHT, status="2000 OK"),
    "two digits": head(EIGHT, status="20 OK"),
    "no reason": head(EIGHT, status="200"),
    "no reason, but its space": head(EIGHT, status="200 "),
    "a reason in UTF-8": head(EIGHT, status="200 Schön"),
    "64 KB in a header": head(EIGHT, "X-A: " + "a" * 64_000),
    "300 headers": head(EIGHT, *[f"X-{number}: a" for number in range(300)]),
    "1000 cookies": head(EIGHT, *[f"Set-Cookie: a{number}=b" for number in range(1000)]),
    "length twice": head(EIGHT, EIGHT),
    "length twice in a line": head("content-length: 8, 8"),
    "length twice, after an interim": [READ, b"HTTP/1.1 103 Early Hints\r\n\r\n", *head(EIGHT, EIGHT)[1:]],
    "length twice, byte by byte": [READ, *[bytes([byte]) for byte in head(EIGHT, "X-A: b", EIGHT)[1]]],
    "two lengths": head(EIGHT, "Content-Length: 9"),
    "no length to be read": head("Content-Length: 0x8"),
    "a length beyond all numbers": head("Content-Length: 99999999999999999999999"),
    "more than the length": head("Content-Length: 4"),
    "less than the length": [*head("Content-Length: 80"), CLOSE],
    "header without a colon": head(EIGHT, "garbage"),
    "header in UTF-8": head(EIGHT, "X-A: ä€"),
    "folded length": head("Content-Length:\r\n 8"),
    "Chunked": [READ, HEAD.replace(b"chunked", b"Chunked"), ONE, END],
    "chunk extensions": [READ, HEAD, b'3;a="b"\r\none\r\n', END],
    "zeros before a chunk's size": [READ, HEAD, b"0000003\r\none\r\n", END],
    "a chunk larger than all": [READ, HEAD, ONE, b"fffffffffffffffff\r\n", CLOSE],
    "trailers": [READ, HEAD, ONE, b"0\r\nX-T: a\r\nContent-Length: 99\r\n\r\n"],
    "chunks that end early": [READ, HEAD, ONE, CLOSE],
    "chunks, byte by byte": [READ, *[bytes([byte]) for byte in HEAD + ONE + TWO + END]],
    "no content": [READ, b"HTTP/1.1 204 No Content\r\n\r\n"],
    "nothing": head("Content-Length: 0", body=b""),
    "redirect": head(EIGHT, "Location: /elsewhere", status="307 Temporary Redirect"),
    "redirect for good": head(EIGHT, "Location: http://127.0.0.1:1/", status="308 Permanent Redirect"),
    "gzip of nothing": head("Content-Length: 0", "Content-Encoding: gzip", body=b""),
    "gzip cut off": encoded(gzip.compress(TEXT)[:-10], "gzip"),
    "gzip, zeros behind it": encoded(gzip.compress(TEXT) + bytes(10), "gzip"),
    "gzip, garbage behind it": encoded(gzip.compress(TEXT) + b"garbage", "gzip"),
    "gzip without length": [*head("Content-Encoding: gzip", body=gzip.compress(TEXT)), CLOSE],
    "gzip in a refusal": [READ, answer(gzip.compress(TEXT), "Content-Encoding: gzip", status="500 Broken")],
    "gzip in two headers": encoded(gzip.compress(gzip.compress(TEXT)), "gzip\r\nContent-Encoding: gzip"),
    "a coding that nobody knows": encoded(TEXT, "aws-chunked"),
    "brotli cut off": encoded(brotli.compress(TEXT)[:-3], "br"),
    "two answers": [READ, OK + OK],
    "nothing at all": [READ, CLOSE],
    "half a head": [READ, b"HTTP/1.1 200 OK\r\nContent-Le", CLOSE],
    "another protocol": [READ, b"220 mail ESMTP\r\n", CLOSE],
}


def read(response, pieces):
    """The status, what came of the body, and whether it broke."""
    got = []
    try:
        got += pieces
    except httpx2.HTTPError:
        return response.status_code, b"".join(got), "broken"
    return response.status_code, b"".join(got), "whole"


def ask_ours(url, body, *, stream):
    with closing(UpstreamClient(url, connect_timeout_s=1)) as client:
        headers = [("Host", "local"), ("Content-Length", str(len(body)))]
        request = client.build_request("POST", url, headers=headers, content=body)

        def send():
            with closing(client.send(request, stream=stream)) as response:
                return read(response, response.stream if stream else [response.content])

        try:
            return CallState(time.monotonic() + 5, tick_s=9).run(send)
        except httpx2.HTTPError:
            return "no answer"


def ask_httpx(url, body, *, stream):
    with httpx2.Client(
        timeout=5, trust_env=False, verify=NO_CERTIFICATES, headers={"Accept-Encoding": "identity"}
    ) as client:
        try:
            with client.stream("POST", url, content=body) as response:
                found = read(response, response.iter_bytes())
        except httpx2.HTTPError:
            return "no answer"
    return found if stream or found[2] == "whole" else "no answer"


@each_row("script", LIKE_HTTPX.values(), ids=LIKE_HTTPX)
@each_row("stream", [False, True], ids=["plain", "stream"])
def test_it_understands_what_httpx2_understands(script, stream):
    assert_understands(script, b"xx", stream=stream)


LARGE = b"x" * 9_000_000
# The answer comes while the request is still on its way; and one that comes after it.
MEANWHILE = {name: script for name, script in LIKE_HTTPX.items() if script[0] != READ or name == "well"}


@each_row("script", MEANWHILE.values(), ids=MEANWHILE)
def test_it_understands_what_comes_while_it_sends(script):
    assert_understands(script, LARGE, stream=False)


@pytest.mark.thorough
@each_row("script", LIKE_HTTPX.values(), ids=LIKE_HTTPX)
def test_it_understands_what_comes_to_a_large_request(script):
    assert_understands(script, LARGE, stream=False)


def assert_understands(script, body, *, stream):
    """What httpx2 understands."""
    found = []
    for ask in (ask_ours, ask_httpx):
        with RawServer(list(script)) as server:
            found.append(ask(server.url, body, stream=stream))
    assert found[0] == found[1]


@each_row("script", SMALL_LIKE_HTTPX.values(), ids=SMALL_LIKE_HTTPX)
@each_row("stream", [False, True], ids=["plain", "stream"], quickly=lambda stream: not stream)
def test_it_understands_heads_and_ends_as_httpx2_does(script, stream):
    assert_understands(script, b"{}", stream=stream)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_zstd_that_is_cut_off_is_no_whole_answer(stream):
    whole = zstd.compress(TEXT * 40)
    for length in (len(whole) - 3, len(whole) // 2, 9):
        with RawServer(encoded(whole[:length], "zstd")) as server:
            found = ask_ours(server.url, b"{}", stream=stream)
        assert found == "no answer" or found[2] == "broken"


EARLY = ["well", "refusal, then closed", "refusal, nothing read, broken off", "refusal, read on",
         "answer before the request, read on", "interim", "reset after the answer", "broken chunk", "gzip in chunks"]  # fmt: skip


@pytest.mark.parametrize(
    ("size", "stream", "manner"),
    crossed({"plain": (2, False), "stream": (2, True), "large": (9_000_000, False)}, EARLY),
)
def test_over_tls_it_understands_what_it_understands_without(tls, manner, size, stream):
    context = tls("localhost")
    found = []
    for each in (context, None):
        with RawServer(list(LIKE_HTTPX[manner]), tls=each) as server:
            url = server.url.replace("127.0.0.1", "localhost")
            found.append(ask_ours(url, b"x" * size, stream=stream))
    assert found[0] == found[1]


BOMBS = {
    "gzip": lambda: gzip.compress(bytes(50_000_000), 1),
    "br": lambda: brotli.compress(bytes(50_000_000), quality=1),
    "zstd": lambda: zstd.compress(bytes(50_000_000)),
    "gzip, gzip": lambda: gzip.compress(gzip.compress(bytes(50_000_000), 1)),
}


@pytest.mark.parametrize("coding", BOMBS)
def test_a_bomb_is_given_up_before_it_grows(coding):
    bomb = BOMBS[coding]()
    with RawServer(encoded(bomb, coding)) as server:
        assert ask_ours(server.url, b"{}", stream=False) == "no answer"
    with RawServer(encoded(bomb, coding)) as server:
        found = ask_ours(server.url, b"{}", stream=True)
    if found != "no answer":  # a small bomb comes, and goes off, with the head
        status, body, end = found
        assert (status, end) == (200, "broken")
        assert len(body) < 30_000_000


@contextmanager
def silent_address():
    """An address where the handshake is never finished."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as listener:
        knocking = [socket.socket() for _ in range(3)]
        for sock in knocking:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()
        for sock in knocking:
            sock.close()


def test_a_silent_address_is_passed_over_and_the_one_that_works_is_remembered(monkeypatch):
    with RawServer([READ, OK], [READ, OK]) as server, silent_address() as silent:
        places = [silent, ("127.0.0.1", server.port)]
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
        url = f"http://many.test:{server.port}/v1"
        with closing(UpstreamClient(url, connect_timeout_s=5)) as client:
            for most_s in (2.0, 0.2):
                watch = Stopwatch()
                client._pool.connect(5).close()
                assert watch.elapsed_s() < most_s


def test_a_look_up_takes_no_longer_than_the_deadline_and_one_thread(monkeypatch):
    go = threading.Event()
    asked = []

    def look_up(*_, **__):
        asked.append(threading.current_thread())
        go.wait(20)
        raise socket.gaierror("no such host")

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    with closing(UpstreamClient("http://slow.test/v1", connect_timeout_s=0.05)) as client:
        for _ in range(5):
            with pytest.raises(httpx2.ConnectTimeout):
                client._pool.connect(5)
        go.set()
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("host", "no_proxy", "is_so"),
    [
        ("www.example.com", "example.com", True),
        ("www.example.com", "foo, .example.com", True),
        ("example.com", ".example.com", True),
        ("nonexample.com", ".example.com", False),
        ("nonexample.com", "example.com", False),
        ("Example.COM.", "example.com", True),
        ("example.com", "foo,,,   example.com.", True),
        ("example.com", "foo example.com", True),
        ("example.com", "*", True),
        ("example.com", "foo, *", False),
        ("example.com", "example.com:80", False),
        ("example.com", "", False),
        ("192.168.1.1", "foo, 192.168.0.0/16", True),
        ("192.168.1.1", "192.168.0.0/24", False),
        ("192.168.1.1", "192.168.1.1", True),
        ("192.168.1.1", "1.1", False),
        ("::1", "foo, ::1/64", True),
        ("[::1]", "::1", True),
        ("::1", "10.0.0.0/8", False),
    ],
)
def test_no_proxy_is_read_as_curl_reads_it(host, no_proxy, is_so):
    assert is_exempt(host, no_proxy) is is_so
