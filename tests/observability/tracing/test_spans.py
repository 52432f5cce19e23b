"""Traces over the wire: the real exporter, and a collector that keeps what it gets."""

from __future__ import annotations

import re
import socket
import sys
import threading
from pathlib import Path

import pytest

from app.config import Config, ConfigError
from app.config.groups import TracingSettings
from app.observability.tracing import provider
from app.observability.tracing.request_attributes import describe_request
from tests.conftest import KEY
from tests.fakes.collector import Collector
from tests.fakes.upstreams.openai_answers import MODEL, completion, embeddings, error, stream_of

ROOT = Path(__file__).parents[3]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CANARY = "kanarienvogel"
VERDICT = {"id": "modr-1", "results": [{"flagged": False, "categories": {}}]}
HELLO = {"message": f"Hello {CANARY}"}


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture
def traced(make_app, collector):
    """An application that is traced, and its spans, by their names."""

    def make(**settings):
        app = make_app(
            otel_exporter_otlp_endpoint=collector.url,
            otel_exporter_otlp_headers="authorization=Bearer%20t0ken",
            **settings,
        )
        tracing = app.extensions["gatehouse"].tracing

        def spans():
            tracing.flush()
            return {span["name"]: span for span in collector.spans}

        return app.test_client(), spans

    return make


def test_a_chat_is_a_span_and_its_attempt_another(traced, upstream, collector):
    client, spans = traced()
    upstream.answers(completion(f"Hi {CANARY}"))
    answer = client.post("/api/chat?q=kanarienvogel", json=HELLO)

    found = spans()
    assert len(found) == 2
    request = found["POST /api/chat"]
    (attempt,) = (span for name, span in found.items() if name.startswith("chat "))
    assert (request["kind"], attempt["kind"]) == (2, 3)  # server, client
    assert (request["parent"], attempt["parent"], attempt["trace"]) == ("", request["id"], request["trace"])
    assert 0 <= attempt["ms"] <= request["ms"]
    assert request["attributes"] == {
        "http.request.method": "POST",
        "http.route": "/api/chat",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "gatehouse.request_id": answer.headers["X-Request-ID"],
        "gatehouse.tenant": "default",
    }
    assert attempt["attributes"] == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": attempt["name"].removeprefix("chat "),
        "gen_ai.request.max_tokens": upstream.sent[-1].body["max_completion_tokens"],
        "gen_ai.response.model": MODEL,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 3,
        "http.request.method": "POST",
        "server.address": "api.openai.com",
        "server.port": 443,
    }
    assert not request["is_error"]
    assert not attempt["is_error"]
    assert collector.resources[0]["service.name"] == "gatehouse"
    assert collector.headers[0]["authorization"] == "Bearer t0ken"
    assert request["schema"].endswith("/1.37.0")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {
                "model": MODEL,
                "temperature": 0.5,
                "top_p": 0.25,
                "max_completion_tokens": 7,
                "seed": 3,
                "stop": CANARY,
            },
            {"max_tokens": 7, "temperature": 0.5, "top_p": 0.25, "seed": 3},
        ),
        (
            {"max_output_tokens": 9, "text": {"format": {"type": "json_schema", "name": CANARY, "schema": {}}}},
            {"max_tokens": 9, "output": "json"},
        ),
        (
            {"response_format": {"type": "json_object"}, "presence_penalty": -1},
            {"output": "json", "presence_penalty": -1},
        ),
        (
            {"response_format": {"type": "text"}, "frequency_penalty": 1.5},
            {"output": "text", "frequency_penalty": 1.5},
        ),
        ({"dimensions": 256, "input": CANARY, "text": CANARY, "temperature": None}, {"dimensions": 256}),
    ],
)
def test_the_parameters_of_a_request_are_told_and_none_of_its_content(body, expected):
    names = {"output": "gen_ai.output.type", "dimensions": "gen_ai.embeddings.dimension.count"}
    named = {names.get(name, f"gen_ai.request.{name}"): value for name, value in expected.items()}
    assert describe_request(body) == named


def test_the_upstream_is_told_of_the_attempt(traced, upstream):
    client, spans = traced()
    upstream.answers(completion("Hi"))
    client.post("/api/chat", json=HELLO)

    attempt = next(span for name, span in spans().items() if name.startswith("chat "))
    assert upstream.sent[-1].headers["traceparent"] == f"00-{attempt['trace']}-{attempt['id']}-01"


def test_a_callers_trace_goes_on(traced, upstream):
    client, spans = traced()
    upstream.answers(completion("Hi"))
    client.post("/api/chat", json=HELLO, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    upstream.answers(completion("Hi"))
    client.post("/api/chat", json=HELLO, headers={"traceparent": f"00-{'1' * 32}-{SPAN}-00"})

    assert {span["trace"] for span in spans().values()} == {TRACE}, (
        "one that its caller does not record is not sent"
    )
    assert spans()["POST /api/chat"]["parent"] == SPAN


def test_a_stream_ends_its_spans_when_it_ends(traced, upstream):
    client, spans = traced()
    upstream.streams(*stream_of("Hi"))
    answer = client.post("/api/chat/stream", json=HELLO)
    assert not spans()
    assert answer.data
    answer.close()

    found = spans()
    attempt = next(span for name, span in found.items() if name.startswith("chat "))
    assert attempt["attributes"]["gen_ai.usage.output_tokens"] == 3
    assert attempt["attributes"]["gen_ai.response.finish_reasons"] == ["stop"]
    assert not found["POST /api/chat/stream"]["is_error"]


def test_a_client_that_leaves_a_stream(traced, upstream):
    client, spans = traced()
    upstream.streams(*stream_of("Hi", "there"))
    answer = client.post("/api/chat/stream", json=HELLO)
    next(answer.iter_encoded())
    answer.close()

    found = spans()
    attempt = next(span for name, span in found.items() if name.startswith("chat "))
    assert attempt["parent"] == found["POST /api/chat/stream"]["id"]


def test_each_attempt_has_its_span(traced, upstream, collector):
    client, spans = traced(retry_max_attempts=2, chat_fallback_models=())
    upstream.answers(error(f"no {CANARY}", code="server_error"), status=500)
    upstream.answers(completion("Hi"))
    assert client.post("/api/chat", json=HELLO).status_code == 200

    spans()
    first, second = [span for span in collector.spans if span["name"].startswith("chat ")]
    assert (first["is_error"], second["is_error"]) == (True, False)
    assert first["attributes"]["http.response.status_code"] == 500
    assert first["attributes"]["error.type"] == "server_error"


@pytest.mark.one_attempt
def test_an_error_has_its_code(traced, upstream):
    client, spans = traced()
    upstream.answers(error("no"), status=500)
    client.post("/api/chat", json=HELLO)
    client.post("/api/chat", json={CANARY: 1})
    client.get(f"/{CANARY}")

    found = spans()
    assert found["GET none"]["attributes"]["error.type"] == "not_found"
    assert not found["GET none"]["is_error"], "it is the caller's"


def test_embeddings(traced, upstream):
    client, spans = traced()
    upstream.answers(embeddings([[0.5]]))
    client.post("/api/embeddings", json={"input": CANARY})

    attempt = next(span for name, span in spans().items() if name.startswith("embeddings "))
    assert attempt["attributes"]["gen_ai.operation.name"] == "embeddings"
    assert attempt["attributes"]["gen_ai.usage.input_tokens"] == 5


def test_moderation_has_spans_and_the_answer_keeps_its_finish_reason(traced, upstream, collector):
    client, spans = traced(moderation="both")
    upstream.answers(VERDICT)
    upstream.answers(completion("Hi"))
    upstream.answers(VERDICT)
    assert client.post("/api/chat", json=HELLO).status_code == 200

    spans()
    checks = [span for span in collector.spans if span["name"].startswith("moderation ")]
    answer = next(span for span in collector.spans if span["name"].startswith("chat "))
    request = next(span for span in collector.spans if span["name"] == "POST /api/chat")
    assert [(span["parent"], span["is_error"]) for span in checks] == [(request["id"], False)] * 2
    assert {span["attributes"]["gen_ai.operation.name"] for span in checks} == {"moderation"}
    assert [request.headers["traceparent"] for request in upstream.sent] == [
        f"00-{span['trace']}-{span['id']}-01" for span in (checks[0], answer, checks[1])
    ]
    assert answer["attributes"]["gen_ai.response.finish_reasons"] == ["stop"]
    assert not any(CANARY.encode() in body for body in collector.bodies)


def test_a_run_of_a_tool_has_its_span(traced, upstream, collector):
    client, spans = traced(allowed_tools=("current_time",))
    for arguments in ('{"time_zone": "UTC"}', f'{{"timezone": "{CANARY}"}}'):
        call = {"id": "call_1", "type": "function", "function": {"name": "current_time", "arguments": arguments}}
        upstream.answers(completion(None, finish_reason="tool_calls", tool_calls=[call]))
        upstream.answers(completion("Hi"))
        assert client.post("/api/chat", json={"message": "Hi", "serverTools": ["current_time"]}).status_code == 200

    spans()
    well, badly = [span for span in collector.spans if span["name"] == "execute_tool current_time"]
    request = next(span for span in collector.spans if span["name"] == "POST /api/chat")
    assert (well["parent"], well["is_error"], well["kind"]) == (request["id"], False, 1)
    named = {"gen_ai.tool.name": "current_time", "gen_ai.tool.type": "function"}
    assert well["attributes"] == {"gen_ai.operation.name": "execute_tool", **named}
    assert (badly["is_error"], badly["attributes"]["error.type"]) == (True, "ToolError")
    assert not any(CANARY.encode() in body for body in collector.bodies)


def test_moderation_that_fails_is_an_error_of_its_span(traced, upstream):
    client, spans = traced(moderation="input", moderation_on_failure="refuse", retry_max_attempts=1)
    upstream.answers(error("no"), status=500)
    client.post("/api/chat", json=HELLO)

    check = next(span for name, span in spans().items() if name.startswith("moderation "))
    assert (check["is_error"], check["attributes"]["http.response.status_code"]) == (True, 500)


def test_requests_about_a_batch_and_its_files_have_spans(traced, upstream, collector):
    client, spans = traced(batches="all", auth_required=False, retry_max_attempts=2)
    key = client.application.extensions["gatehouse"].authenticator.keys.create(
        tenant="acme", name="server", scopes=["chat"]
    )
    upstream.answers(error(f"no {CANARY}", code="server_error"), status=500)
    upstream.answers({"id": f"file-{CANARY}"})
    upstream.answers({"id": f"batch_{CANARY}", "status": "validating", "endpoint": "/v1/chat/completions"})
    body = {"requests": [{"chat": {"message": CANARY}}]}
    made = client.post("/api/batches", json=body, headers={"Authorization": f"Bearer {key.text}"})
    assert made.status_code < 300, made.text

    spans()
    request = next(span for span in collector.spans if span["name"] == "POST /api/batches")
    found = [span for span in collector.spans if span["parent"] == request["id"]]
    assert [(span["name"], span["kind"], span["is_error"]) for span in found] == [
        ("POST /files", 3, True),
        ("POST /files", 3, False),
        ("POST /batches", 3, False),
    ]
    assert found[0]["attributes"]["error.type"] == "server_error"
    assert found[2]["attributes"]["url.template"] == "/batches"
    assert not any(CANARY.encode() in each for each in collector.bodies)


def test_no_content_is_in_any_span(traced, upstream, collector):
    client, spans = traced(retry_max_attempts=1, chat_fallback_models=())
    for answer in (completion(CANARY), error(CANARY), {"id": CANARY}):
        upstream.answers(answer, status=500 if "error" in answer else 200)
        client.post(f"/api/chat?{CANARY}", json=HELLO, headers={"User-Agent": CANARY, "traceparent": CANARY})
    client.open(f"/{CANARY}", method=CANARY.upper())

    assert spans()
    for secret in (CANARY, CANARY.upper(), KEY):
        assert not any(secret.encode() in body for body in collector.bodies)


def test_a_collector_that_fails_holds_nobody_up(traced, upstream, collector):
    client, _ = traced()
    collector.status = 400
    for _ in range(3):
        upstream.answers(completion("Hi"))
        assert client.post("/api/chat", json=HELLO).status_code == 200


def test_spans_that_are_lost_are_told_of_once_a_minute(traced, upstream, collector, clock, capfd):
    client, flush = traced()
    collector.status = 400
    for _ in range(3):
        for _ in range(2):
            upstream.answers(completion("Hi"))
            client.post("/api/chat", json=HELLO)
            flush()
        clock.move(61)
    log = capfd.readouterr().err
    # A request and its attempt; then also those that were not told of before.
    assert re.findall(r"ERROR traces.lost spans=(\d+) hint=", log) == ["2", "4", "4"]
    assert "Failed to export" not in log


def test_a_collector_that_never_answers_keeps_no_process_from_stopping(monkeypatch):
    """Of many spans each batch would take its timeout: 25 s, in which a restart serves nobody."""
    monkeypatch.setattr(provider, "_CLOSE_S", 0.05)
    monkeypatch.setattr(provider, "_TIMEOUT_S", 2.0)
    settings = {"headers": (), "service_name": "site", "provider": "openai", "upstream_url": "http://127.0.0.1"}
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        tracing = provider.Tracing(TracingSettings(endpoint=endpoint, **settings), "1")
        named = {"http.request.method": "GET", "http.route": "/"}
        tracing.begin(None).end(named, status=200, code="", finish_reason=None)
        tracing.close()
        still_sending = [thread for thread in threading.enumerate() if thread.name.startswith("Otel")]
    assert still_sending
    still_sending[-1].join()


@pytest.mark.parametrize(("flags", "expected"), [("01", f"00-{TRACE}-{SPAN}-01"), ("00", None)])
def test_without_traces_a_caller_that_records_its_own_is_passed_on(client, upstream, flags, expected):
    upstream.answers(completion("Hi"))
    client.post("/api/chat", json=HELLO, headers={"traceparent": f"00-{TRACE}-{SPAN}-{flags}"})
    assert upstream.sent[-1].headers.get("traceparent") == expected


def test_packages_that_are_missing_are_named_at_the_start(make_app, monkeypatch):
    monkeypatch.setitem(sys.modules, "app.observability.tracing.provider", None)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigError, match=r"requirements-otel\.txt"):
        make_app(otel_exporter_otlp_endpoint="http://127.0.0.1:4318")


@pytest.mark.parametrize("headers", ["no pair", "a=b,c", "a b=c"])
def test_headers_that_are_none_are_refused_without_being_told(headers):
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_HEADERS") as caught:
        Config(openai_api_key=KEY, otel_exporter_otlp_headers=headers)
    assert headers not in str(caught.value)


def test_the_attributes_are_those_of_the_conventions_and_of_the_document():
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

    source = (ROOT / "app/observability/tracing/spans.py").read_text() + (
        ROOT / "app/observability/tracing/provider.py"
    ).read_text()
    source += (ROOT / "app/web/observation/request_span.py").read_text()
    source += (ROOT / "app/observability/tracing/request_attributes.py").read_text()
    written = set(re.findall(r'"((?:gen_ai|http|server|url|error|gatehouse)\.[\w.]+)"', source))
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    assert {name for name in written if name.startswith("gen_ai.")} <= known

    page = (ROOT / "docs/tracing.md").read_text()
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert written == set(re.findall(r"`((?:gen_ai|http|server|url|error|gatehouse)\.[\w.]+)`", " ".join(cells)))
