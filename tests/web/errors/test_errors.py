from __future__ import annotations

import json
import logging
import traceback
from itertools import product

import httpx2
import pytest

from app.openai_service import OpenAIService
from app.openai_service.streaming.chunks import ChunkReader
from tests.conftest import KEY
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import chunk, error, stream_of
from tests.fakes.wire.bodies import EVERY_ROUTE as ROUTES
from tests.fakes.wire.bodies import EVERY_SMALLEST as SMALLEST
from tests.fakes.wire.reading import events_of

pytestmark = pytest.mark.one_attempt

CHAT = {"messages": [{"role": "user", "content": "a PROMPT-CANARY of a visitor"}]}
# What an upstream may say that nobody else may read: the key's end, the prompt, a host, our organization.
LEAKS = f"key {KEY} and PROMPT-CANARY at host-canary.example for org-CANARY"
LEAKING_HEADERS = {
    "openai-organization": "org-CANARY",
    "Server": "host-canary.example",
    "Set-Cookie": "a=CANARY",
    "X-Ratelimit-Remaining-Requests": "CANARY",
    "WWW-Authenticate": "Bearer CANARY",
}

PLAIN = (400, "invalid_request", None)
FAILED = (502, "upstream_failed", None)
BUSY = (503, "upstream_rate_limited", "5")
CONTEXT = (400, "context_length_exceeded", None)
IMAGE = (400, "invalid_image", None)
SCHEMA = (400, "unsupported_schema", None)
FILTERED = (422, "content_filter", None)

TOO_LARGE = (
    "Request too large for gpt-6.1-terra in organization org-CANARY on tokens per min (TPM):"
    " Limit 30000, Requested 45000. The input or output tokens must be reduced in order to run successfully."
)

# The upstream's status, the members of its error object, further headers; and what the caller gets.
REFUSALS = [
    (400, {}, {}, PLAIN),
    (400, {"code": "invalid_value", "param": "temperature"}, {}, PLAIN),
    (400, {"code": "unknown_thing", "param": "messages.[0].content"}, {}, PLAIN),
    (422, {"kind": "invalid_request_error"}, {}, PLAIN),
    (400, {"code": "context_length_exceeded"}, {}, CONTEXT),
    (400, {"code": "string_above_max_length"}, {}, CONTEXT),
    (400, {"message": "This model's maximum context length is 8192 tokens."}, {}, CONTEXT),
    (400, {"code": "invalid_image_url"}, {}, IMAGE),
    (400, {"code": "image_parse_error"}, {}, IMAGE),
    (400, {"code": "invalid_value", "param": "messages.[0].content.[1].image_url"}, {}, IMAGE),
    (400, {"param": "response_format"}, {}, SCHEMA),
    (400, {"code": "invalid_value", "param": "response_format.json_schema.schema"}, {}, SCHEMA),
    (400, {"code": "invalid_json_schema"}, {}, SCHEMA),
    (400, {"code": "content_filter"}, {}, FILTERED),
    (400, {"code": "content_policy_violation"}, {}, FILTERED),
    *[
        (status, {"code": code}, {}, FILTERED)
        for status in (400, 403)
        for code in (
            "bio_policy",
            "cyber_policy",
            "misalignment_policy_violation",
            "image_content_policy_violation",
        )
    ],
    (400, {"code": "invalid_prompt"}, {}, FILTERED),
    (
        429,
        {"code": "rate_limit_exceeded", "kind": "tokens", "message": TOO_LARGE},
        {"x-should-retry": "true"},
        CONTEXT,
    ),
    (413, {"code": "rate_limit_exceeded", "message": TOO_LARGE}, {}, CONTEXT),
    *[
        (status, {"code": code}, {"x-should-retry": "true"}, FAILED)
        for status in (402, 403, 429)
        for code in ("insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached")
    ],
    (429, {"message": "You exceeded your current quota, please check your plan."}, {"Retry-After": "7"}, FAILED),
    (429, {"code": "slow_down"}, {}, BUSY),
    (503, {"code": "slow_down"}, {"Retry-After": "7"}, (*BUSY[:2], "7")),
    (413, {}, {}, (413, "body_too_large", None)),
    (401, {"code": "invalid_api_key"}, {}, FAILED),
    (403, {"code": "unsupported_country_region_territory"}, {}, FAILED),
    (404, {"code": "model_not_found"}, {}, FAILED),
    (408, {}, {}, FAILED),
    (409, {}, {}, FAILED),
    (418, {}, {}, FAILED),
    (429, {"code": "insufficient_quota"}, {"Retry-After": "7"}, FAILED),
    (429, {"kind": "insufficient_quota"}, {}, FAILED),
    (429, {"code": "rate_limit_exceeded"}, {}, BUSY),
    (429, {}, {"Retry-After": "7"}, (*BUSY[:2], "7")),
    (429, {}, {"Retry-After": "0.2"}, (*BUSY[:2], "1")),
    (429, {}, {"Retry-After": "0"}, (*BUSY[:2], "1")),
    (429, {}, {"retry-after-ms": "1500", "Retry-After": "9"}, (*BUSY[:2], "2")),
    (429, {}, {"Retry-After": "Fri, 20 Nov 2020 16:00:00 GMT"}, (*BUSY[:2], "1")),
    *[
        (429, {}, {"Retry-After": text}, BUSY)
        for text in ("-1", "nan", "inf", "soon", "1e99", "", "Fri, 20 Nov 9999 16:00:00 GMT")
    ],
    *[(status, {}, {}, FAILED) for status in (500, 502, 503, 504, 520, 529)],
    (503, {}, {"Retry-After": "7"}, (*FAILED[:2], "7")),
    *[(status, {}, {"Location": "https://host-canary.example/"}, FAILED) for status in (301, 302, 307, 308)],
]
REFUSAL_IDS = [f"{status} {fields} {headers}" for status, fields, headers, _ in REFUSALS]

BROKEN = [
    (httpx2.ConnectError("host-canary.example refused"), 502, "upstream_failed"),
    (httpx2.ReadError("host-canary.example"), 502, "upstream_failed"),
    (httpx2.WriteError("CANARY"), 502, "upstream_failed"),
    (httpx2.RemoteProtocolError("CANARY"), 502, "upstream_failed"),
    (httpx2.ProxyError("CANARY"), 502, "upstream_failed"),
    (httpx2.ConnectTimeout("CANARY"), 504, "upstream_timeout"),
    (httpx2.ReadTimeout("CANARY"), 504, "upstream_timeout"),
    (httpx2.WriteTimeout("CANARY"), 504, "upstream_timeout"),
]

NOT_ANSWERS = {
    "HTML": b"<html>CANARY</html>",
    "nothing": b"",
    "half": b'{"choices": [{"message": {"content": "CANARY',
    "null": b"null",
    "list": b'["CANARY"]',
    "string": b'"CANARY"',
    "number": b"1",
    "no choices": b'{"id": "CANARY"}',
    "null choices": b'{"choices": null}',
    "empty choices": b'{"choices": []}',
    "choice of null": b'{"choices": [null]}',
    "choice of text": b'{"choices": ["CANARY"]}',
    "no message": b'{"choices": [{"finish_reason": "stop"}]}',
    "null message": b'{"choices": [{"finish_reason": "stop", "message": null}]}',
    "text for a message": b'{"choices": [{"finish_reason": "stop", "message": "CANARY"}]}',
    "no UTF-8": b'{"choices": "\xff"}',
    "error object": json.dumps(error(LEAKS, code="server_error")).encode(),
    "error text": b'{"error": "CANARY"}',
    "error list": b'{"error": ["CANARY"]}',
}

# A route for each way to read an answer.
READERS = ["/api/chat", "/api/chat/stream", "/api/embeddings"]

ODD_REFUSALS = {
    "HTML": b"<html>CANARY</html>",
    "nothing": b"",
    "null": b"null",
    "list": b'["CANARY"]',
    "text": b'{"error": "CANARY"}',
    "error list": b'{"error": ["CANARY"]}',
    "error null": b'{"error": null}',
    "no error": b'{"message": "CANARY", "detail": "CANARY"}',
    "members of other types": b'{"error": {"message": 1, "code": 400, "param": ["CANARY"], "type": {}}}',
    "param with words": b'{"error": {"message": "x", "code": "a b CANARY", "param": "<b>CANARY</b>"}}',
    "deep": b'{"error":' * 5_000 + b"1" + b"}" * 5_000,
}


@pytest.fixture
def client(make_app):
    """Asks an application whose breaker stays closed, however many rows of a table fail."""
    return make_app(breaker_failures=1_000_000).test_client()


@pytest.fixture
def seen(capfd, make_app, clock):
    """The application at its most talkative, and what returns all that it wrote or gave to the log since the last look.

    After each look a minute has passed, so that nothing is left out because it was logged just before.
    """
    lines: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record):
            lines.append(f"{record.__dict__} {record.getMessage()}")
            if record.exc_info and record.exc_info[1] is not None:
                lines.extend(traceback.format_exception(record.exc_info[1]))

    def read():
        out, err = capfd.readouterr()
        assert err, "nothing reached standard error"
        written = "".join([*lines, out, err])
        lines.clear()
        clock.move(61)
        return written

    client = make_app(log_level="DEBUG", breaker_failures=1_000_000).test_client()
    keeper = Keeper(level=0)
    root, ours = logging.getLogger(), logging.getLogger("app")
    before = root.level
    root.setLevel("DEBUG")
    root.addHandler(keeper)
    ours.addHandler(keeper)
    yield client, read
    root.setLevel(before)
    root.removeHandler(keeper)
    ours.removeHandler(keeper)


def assert_safe(answer, written=""):
    everything = f"{answer.status} {answer.headers} {answer.text} {written}".lower()
    assert "canary" not in everything
    assert "3456789" not in everything


def summary(answer):
    return answer.status_code, answer.json["code"], answer.headers.get("Retry-After")


@each_row("route", ["/api/chat", "/api/chat/stream"], quickly=lambda route: route == "/api/chat")
@each_row("refusal", REFUSALS, ids=REFUSAL_IDS)
def test_a_refusal_of_the_upstream_gets_its_own_status_and_tells_nothing(seen, upstream, route, refusal):
    client, written = seen
    status, fields, headers, expected = refusal
    upstream.clear()
    message = fields.get("message", "") + LEAKS
    upstream.answers(
        error(**{**fields, "message": message}), status=status, headers={**LEAKING_HEADERS, **headers}
    )

    answer = client.post(route, json=CHAT, headers={"X-Request-ID": "r1"})

    assert summary(answer) == expected
    assert list(answer.json) == ["error", "code", "requestId"]
    assert answer.json["requestId"] == "r1"
    assert_safe(answer, written())
    assert len(upstream.sent) == 1


@each_row(
    ("route", "status"),
    product(ROUTES, [400, 401, 429, 500]),
    quickly=lambda route, status: route in READERS or status == 401,
)
def test_every_route_translates_alike(client, upstream, route, status):
    upstream.clear()
    upstream.answers(error(LEAKS), status=status, headers=LEAKING_HEADERS)

    answer = client.post(route, json=SMALLEST[route])

    assert answer.status_code == {400: 400, 401: 502, 429: 503, 500: 502}[status]
    form = ["error"] if route.startswith("/v1/") else ["error", "code", "requestId"]
    assert list(answer.json) == (["message"] if route == "/api/chat/openai" else form)
    assert_safe(answer)
    assert len(upstream.sent) == 1


@each_row("route", ["/api/chat", "/api/chat/stream"])
@each_row(("failure", "status", "code"), BROKEN, ids=[type(case[0]).__name__ for case in BROKEN])
def test_a_connection_that_fails_is_told_without_its_words(seen, upstream, route, failure, status, code):
    client, written = seen
    upstream.raises(failure)

    answer = client.post(route, json=CHAT)

    assert summary(answer) == (status, code, None)
    assert_safe(answer, written())


@each_row(
    ("route", "name"),
    product(ROUTES, NOT_ANSWERS),
    quickly=lambda route, name: route in READERS or name in {"HTML", "null", "no choices"},
)
def test_a_200_that_holds_no_answer_is_a_failure_of_the_upstream(seen, upstream, route, name):
    client, written = seen
    upstream.clear()
    if NOT_ANSWERS[name]:
        upstream.answers(NOT_ANSWERS[name], headers=LEAKING_HEADERS)
    else:
        upstream.streams_bytes([])

    answer = client.post(route, json=SMALLEST[route])

    assert answer.status_code == 502
    assert answer.json.get("code", "upstream_failed") in {"upstream_failed", "upstream_truncated"}
    assert_safe(answer, written())
    assert upstream.sent


def test_an_error_object_in_a_200_keeps_its_meaning(client, upstream):
    upstream.answers(error(code="rate_limit_exceeded"))

    assert summary(client.post("/api/chat", json=CHAT)) == BUSY


@each_row(
    ("name", "status", "expected"),
    [(name, *row) for name in ODD_REFUSALS for row in ((400, 400), (401, 502), (429, 503), (500, 502))],
    quickly=lambda name, status, expected: status == 400 or name in {"HTML", "nothing"},
)
def test_the_status_counts_where_the_upstreams_error_is_none(seen, upstream, name, status, expected):
    client, written = seen
    upstream.answers(ODD_REFUSALS[name], status=status, headers=LEAKING_HEADERS)

    answer = client.post("/api/chat", json=CHAT)

    assert answer.status_code == expected
    assert_safe(answer, written())


@each_row(
    ("param", "name"),
    [("temperature", "temperature"), ("max_completion_tokens", "maxTokens"), ("messages.[3].content", "messages")],
)
def test_a_parameter_that_the_model_refuses_is_named_as_the_caller_knows_it(client, upstream, param, name):
    upstream.answers(error(LEAKS, param=param), status=400)

    assert client.post("/api/chat", json=CHAT).json["error"].startswith(f"{name}: ")


def test_an_error_within_a_stream_tells_nothing_either(seen, upstream):
    client, written = seen
    upstream.streams(*stream_of("Hel")[:2], error(LEAKS, code="server_error"))

    answer = client.post("/api/chat/stream", json=CHAT, headers={"X-Request-ID": "r1"})

    token, failure = events_of(answer.data)
    assert token == {"token": "Hel"}
    assert list(failure) == ["error", "code", "requestId"]
    assert (failure["code"], failure["requestId"]) == ("upstream_failed", "r1")
    assert_safe(answer, written())


def test_tokens_that_came_together_with_the_fault_are_not_lost(client, upstream):
    payload = b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n'
    for end in (b"data: {\n\n", b'data: {"error":{"code":"server_error"}}\n\n', b""):
        upstream.streams_bytes([payload + end])

        answer = client.post("/api/chat/stream", json=CHAT)

        assert answer.status_code == 200, end
        token, failure = events_of(answer.data)
        assert (token, failure["code"][:8]) == ({"token": "Hel"}, "upstream")


def test_a_last_event_without_a_blank_line_is_not_lost_when_the_stream_is_cut(client, upstream):
    upstream.streams_bytes([b'data: {"choices":[{"delta":{"content":"Hel"}}]}'])

    assert events_of(client.post("/api/chat/stream", json=CHAT).data)[0] == {"token": "Hel"}


@pytest.mark.parametrize(
    "fault", [httpx2.ReadError("gone"), httpx2.RemoteProtocolError("cut"), httpx2.ReadTimeout("")]
)
def test_what_goes_wrong_after_the_end_of_a_stream_goes_unnoticed(make_app, upstream, records, fault):
    upstream.streams_bytes([*[b"data: %b\n\n" % piece for piece in _pieces(stream_of("Hel"))], fault])

    answer = make_app().test_client().post("/api/chat/stream", json=CHAT)

    assert [next(iter(event)) for event in events_of(answer.data)] == ["token", "done"]
    assert [record.outcome for record in records] == ["complete"]


def _pieces(payloads):
    return [payload.encode() if isinstance(payload, str) else json.dumps(payload).encode() for payload in payloads]


def test_a_bug_is_noted_by_its_place_and_told_without_its_words(seen, monkeypatch):
    client, written = seen

    def fail(*_, **__):
        try:
            raise ValueError(LEAKS)
        except ValueError:
            raise RuntimeError(LEAKS)  # noqa: B904

    for method, route in [
        ("chat", "/api/chat"),
        ("stream_chat", "/api/chat/stream"),
        ("embed", "/api/embeddings"),
        ("structured", "/api/structured"),
    ]:
        monkeypatch.setattr(OpenAIService, method, fail)

        answer = client.post(route, json=SMALLEST[route])

        assert summary(answer) == (500, "internal_error", None)
        assert list(answer.json) == ["error", "code", "requestId"]
        log = written()
        assert "request.bug" in log
        assert "RuntimeError" in log
        assert "test_errors.py" in log
        assert_safe(answer, log)


def test_a_bug_within_a_stream_is_an_event_and_noted(seen, upstream, monkeypatch):
    client, written = seen
    read = ChunkReader._read

    def fail_at_the_second(reader, data, batch):
        if b"second" in data:
            raise RuntimeError(LEAKS)
        return read(reader, data, batch)

    monkeypatch.setattr(ChunkReader, "_read", fail_at_the_second)
    upstream.streams(chunk({"content": "first"}), chunk({"content": "second"}))

    answer = client.post("/api/chat/stream", json=CHAT)

    assert [event.get("code") for event in events_of(answer.data)] == [None, "internal_error"]
    assert upstream.open_streams == 0
    assert_safe(answer, written())


def test_a_listener_that_fails_takes_nothing_with_it(capfd, make_app, monkeypatch):
    def fail(_):
        raise RuntimeError(LEAKS)

    monkeypatch.setattr("app.log_call", fail)

    answer = make_app().test_client().post("/api/chat", json=CHAT)

    assert answer.status_code == 200
    written = capfd.readouterr().err
    assert "call.listener_failed" in written
    assert_safe(answer, written)


@each_row("path", ["/api", "/api/", "/api/chat/", "/api/nothing", "/API/chat", "/v2", "/.env"])
@each_row("method", ["GET", "POST"])
def test_an_address_with_nothing_at_it_is_not_found(client, path, method):
    answer = client.open(path, method=method)

    assert summary(answer) == (404, "not_found", None)
    assert list(answer.json) == ["error", "code", "requestId"]


@each_row("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
@each_row("route", ROUTES)
def test_another_method_is_refused_with_those_that_are_taken(client, upstream, route, method):
    answer = client.open(route, method=method, json=SMALLEST[route])

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}
    assert answer.headers["X-Request-ID"]
    assert upstream.sent == []


@each_row("host", ["a b", "<x>", "", "x:y", "[::1", "a/b"])
def test_a_host_that_is_none_gets_an_answer_in_the_shape_of_the_contract(client, host):
    for route, shape in (("/api/nothing", ["error", "code", "requestId"]), ("/v1/nothing", ["error"])):
        answer = client.post(route, headers={"Host": host, "Origin": "https://evil.example"})

        assert answer.status_code in {400, 403, 404}
        assert list(answer.json) == shape


def test_every_route_answers_errors_in_the_contracts_shape(app):
    client = app.test_client()
    routes = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith(("/api", "/v1"))]
    assert {rule.rule for rule in routes} >= set(ROUTES)

    for rule in routes:
        shape = ["message"] if rule.rule == "/api/chat/openai" else ["error", "code", "requestId"]
        shape = ["error"] if rule.rule.startswith("/v1") else shape
        path = rule.rule.replace("<", "").replace(">", "")
        for method in rule.methods & {"POST", "PUT", "PATCH", "DELETE"}:
            for headers in ({"Content-Type": "text/plain"}, {"Origin": "https://evil.example"}):
                answer = client.open(path, method=method, data=b"x", headers=headers)

                assert answer.status_code >= 400, (path, headers)
                if rule.rule == "/api/completion":
                    assert answer.content_type == "text/plain; charset=utf-8"
                else:
                    assert answer.content_type == "application/json"
                    assert list(answer.json) == shape
                assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=b"])
def test_a_body_that_cannot_be_read_to_its_end_is_the_callers_fault(client, upstream, content_type):
    class Cut:
        def read(self, *_):
            raise OSError("CANARY")  # as gunicorn does at a broken chunk

        readline = read

    environ = {"wsgi.input": Cut(), "wsgi.input_terminated": True}
    answer = client.post("/api/vision", content_type=content_type, environ_overrides=environ)

    assert summary(answer) == (400, "invalid_request", None)
    assert_safe(answer)
    assert upstream.sent == []
