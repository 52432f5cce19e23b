"""Requests prepared once for each path, and answers without httpx2's layers, are what the SDK itself would make of them."""

from __future__ import annotations

import gzip
import os
import time

import httpx2
import openai
import pytest

from app.config import Config
from app.openai_service import build_client
from app.upstream_http.call_state import CallState
from app.upstream_http.client import HEAD, serialize_head
from tests.fakes.upstreams.raw_server import CLOSE, READ, RawServer

PATH = "/chat/completions"
AZURE = {"azure_openai_endpoint": "https://acme.openai.azure.com", "azure_openai_api_version": "2024-10-21"}


class Wire:
    """BatchResults every request alike, and keeps it."""

    def __init__(self, answer=None):
        self.requests = []
        self.answer = answer or (lambda request: httpx2.Response(200, json={"echo": request.content.decode()}))
        self.http_client = httpx2.Client(transport=httpx2.MockTransport(self._handle))

    def _handle(self, request):
        self.requests.append(request)
        return self.answer(request)


def client_over(wire, **settings):
    return build_client(Config(openai_api_key="sk-test", **settings).connection, wire.http_client)


def headers_of(request):
    return sorted((name.lower(), value) for name, value in request.headers.raw)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({}, PATH),
        ({"openai_org_id": "org-1"}, "/embeddings"),
        ({"openai_base_url": "http://127.0.0.1:1/deep/v1"}, PATH),
        (AZURE, "/deployments/my%20gpt/chat/completions"),
    ],
)
def test_prepared_request_is_the_one_that_the_sdk_makes(settings, path):
    wire = Wire()
    client = client_over(wire, **settings)
    bodies = [b'{"a":1}', b'{"longer":"body"}']

    for body in bodies:
        client.post(path, cast_to=httpx2.Response, content=body)
        client.post_bytes(path, body, stream=False)

    theirs, ours = wire.requests[::2], wire.requests[1::2]
    assert [request.content for request in ours] == bodies
    assert [request.method for request in ours] == ["POST"] * 2
    assert [request.url for request in ours] == [request.url for request in theirs]
    assert [headers_of(request) for request in ours] == [headers_of(request) for request in theirs]


@pytest.mark.parametrize("settings", [{}, {"openai_org_id": "org-1"}, AZURE])
@pytest.mark.parametrize("traceparent", ["", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"])
def test_head_that_is_sent_is_made_of_the_headers(settings, traceparent):
    wire = Wire()
    client = client_over(wire, **settings)
    for body in (b"1", b"22"):
        client.post_bytes(PATH, body, stream=False, traceparent=traceparent)

    for request in wire.requests:
        assert request.extensions[HEAD] == serialize_head(request)
        assert request.headers.get("traceparent", "") == traceparent


def test_each_request_keeps_a_body_and_headers_of_its_own():
    wire = Wire()
    client = client_over(wire)

    answers = [client.post_bytes(PATH, body, stream=False) for body in (b"1", b"22", b"333")]

    assert [answer.json() for answer in answers] == [{"echo": "1"}, {"echo": "22"}, {"echo": "333"}]
    assert [request.headers["Content-Length"] for request in wire.requests] == ["1", "2", "3"]
    wire.requests[0].headers["X-Mine"] = "1"
    client.post_bytes(PATH, b"4", stream=False)
    assert "X-Mine" not in wire.requests[-1].headers


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, openai.BadRequestError), (401, openai.AuthenticationError), (429, openai.RateLimitError)],
)
@pytest.mark.parametrize("stream", [False, True])
def test_refusal_is_the_sdks_error_with_its_body(status, error, stream):
    body = {"error": {"message": "No.", "code": "refused", "param": "model"}}
    wire = Wire(
        lambda _: httpx2.Response(status, json=body, headers={"x-request-id": "req-1", "Retry-After": "3"})
    )

    with pytest.raises(error) as caught:
        client_over(wire).post_bytes(PATH, b"{}", stream=stream)

    assert len(wire.requests) == 1
    assert (caught.value.code, caught.value.param, caught.value.request_id) == ("refused", "model", "req-1")
    assert caught.value.response.headers["retry-after"] == "3"


@pytest.mark.parametrize("status", [200, 201, 204, 302, 304, 404, 409, 422, 500, 503])
def test_status_is_what_the_sdk_makes_of_it(status):
    client = client_over(Wire(lambda _: httpx2.Response(status, text="not JSON")))
    results = []
    for post in (
        lambda: client.post(PATH, cast_to=httpx2.Response, content=b"{}"),
        lambda: client.post_bytes(PATH, b"{}", stream=False),
    ):
        try:
            results.append(post().status_code)
        except openai.APIStatusError as error:
            results.append((type(error), str(error), error.body, error.__cause__))

    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("fault", "error"),
    [(httpx2.ReadTimeout, openai.APITimeoutError), (httpx2.ConnectError, openai.APIConnectionError)],
)
def test_broken_connection_is_the_sdks_error(fault, error):
    def fail(request):
        raise fault("broken", request=request)

    wire = Wire(fail)
    with pytest.raises(error) as caught:
        client_over(wire).post_bytes(PATH, b"{}", stream=False)
    assert caught.value.request is wire.requests[0]


@pytest.fixture
def answer_of(monkeypatch):
    """What comes of raw bytes that a server sends."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)

    def ask(raw, *, stream=False):
        with RawServer([READ, raw, CLOSE]) as server:
            config = Config(openai_api_key="sk-test", openai_base_url=server.url)
            with build_client(config.connection) as client:
                call_state = CallState(time.monotonic() + 2, tick_s=2)
                answer = call_state.run(lambda: client.post_bytes(PATH, b"{}", stream=stream))
                answer.read()
                return answer

    return ask


def raw_answer(body, *headers):
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


@pytest.mark.parametrize("stream", [False, True])
def test_answer_has_its_headers_and_its_content_as_httpx2_gives_them(answer_of, stream):
    body = '{"text":"Grüße"}'.encode()
    headers = (b"X-Request-Id: req-1", b"Content-Type: application/json", b"Set-Cookie: a=1", b"Set-Cookie: b=2")

    answer = answer_of(raw_answer(body, *headers), stream=stream)

    plain = httpx2.Response(
        200,
        headers=[tuple(line.split(b": ")) for line in (b"Content-Length: %d" % len(body), *headers)],
        content=body,
    )
    assert answer.headers == plain.headers
    assert answer.headers.raw == plain.headers.raw
    assert answer.headers["x-request-id"] == answer.headers.get("X-REQUEST-ID") == "req-1"
    assert answer.headers.get("absent") is None
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert (answer.status_code, answer.is_success, answer.is_closed) == (200, True, True)
    assert answer.content == answer.read() == b"".join(answer.iter_bytes()) == body
    assert answer.json() == {"text": "Grüße"}
    assert answer.text == body.decode()
    answer.close()


@pytest.mark.parametrize("stream", [False, True])
def test_answer_that_is_compressed_against_our_wish_is_unpacked(answer_of, stream):
    packed = gzip.compress(b'{"text":"packed"}')

    answer = answer_of(raw_answer(packed, b"Content-Encoding: gzip"), stream=stream)

    assert answer.json() == {"text": "packed"}


def test_header_that_is_not_ascii_is_read_as_httpx2_reads_it(answer_of):
    answer = answer_of(raw_answer(b"{}", b"X-Name: Stra\xc3\x9fe", b"X-Request-Id: req-1"))

    assert answer.headers["x-name"] == "Straße"
    assert answer.headers["x-request-id"] == "req-1"
