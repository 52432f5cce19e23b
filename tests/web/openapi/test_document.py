"""The OpenAPI document: valid, complete, and with examples that work."""

from __future__ import annotations

import json
import re

import pytest

from app import create_app
from app.config import Config
from app.storage.shared_state import MemoryState
from app.web.openapi.document import list_operations
from app.web.openapi.examples import EXAMPLES
from app.web.openapi.operations import OPERATIONS
from tests.fakes.site import SECRET_KEY, Site, bearer
from tests.fakes.tables import each_row
from tests.fakes.upstreams.responses_form import function_call, reasoning, response
from tests.fakes.wire.described import Described
from tests.web.test_sealed_reasoning import stream_tools

STREAMED = ("/v1/chat/completions", "/v1/responses")
"""What is answered as a stream if the body says so."""


@pytest.fixture(scope="module")
def plain_client():
    """Of the server that the document is of, which has nothing of the settings, as the last test checks."""
    app = create_app(Config(), shared_state=MemoryState())
    yield app.test_client()
    app.extensions["gatehouse"].close()


@pytest.fixture(scope="module")
def document(plain_client):
    return plain_client.get("/openapi.json").json


@pytest.fixture(scope="module")
def described(document):
    return Described(document)


@pytest.fixture
def offline_site(monkeypatch):
    monkeypatch.setattr(
        "app.offline_model.completion.time.sleep", lambda _: None
    )  # between the tokens of a stream
    config = Config(secret_key=SECRET_KEY, auth_required=True)
    return Site(create_app(config, shared_state=MemoryState()), None)


def only_of(document, *paths):
    """The document with these paths alone, and with the schemas that they lead to."""
    schemas = document["components"]["schemas"]
    items, named = {path: document["paths"][path] for path in paths}, {}
    found = [items]
    while found:
        for name in re.findall(r'"#/components/schemas/([^"/]+)"', json.dumps(found.pop())):
            if name not in named:
                named[name] = schemas[name]
                found.append(schemas[name])
    return {**document, "paths": items, "components": {**document["components"], "schemas": named}}


def test_one_route_of_each_form_is_valid(document):
    from openapi_spec_validator import validate  # takes a fifth of a second to load

    validate(only_of(document, "/healthz", "/api/chat/{chat_id}/stream", "/v1/embeddings", "/api/vision"))


@pytest.mark.thorough
def test_it_is_valid(document):
    from openapi_spec_validator import validate  # takes a fifth of a second to load

    validate(document)


def test_it_has_every_route_and_no_other(app, document):
    routes = {(method, rule.rule) for method, rule in list_operations(app)}
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}

    assert routes == OPERATIONS.keys() - {("GET", "/metrics")}  # which is there with METRICS_ALLOW only
    assert len(described) == len(routes)
    for item in document["paths"].values():
        assert all(operation["summary"] for operation in item.values())


def test_errors_have_the_form_of_their_prefix(document):
    def form(path):
        return document["paths"][path]["post"]["responses"]["429"]["content"]

    assert form("/api/vision")["application/json"]["schema"]["$ref"].endswith("/Error")
    assert form("/v1/embeddings")["application/json"]["schema"]["$ref"].endswith("/OpenAIError")
    assert form("/api/chat/openai")["application/json"]["schema"]["$ref"].endswith("/MessageError")
    assert list(form("/api/completion")) == ["text/plain"]


def test_every_body_has_an_example(document):
    for path, item in document["paths"].items():
        for operation in item.values():
            if "requestBody" in operation:
                assert operation["requestBody"]["content"]["application/json"]["example"], path


# Described with the parts of others that stay, and answered by the same code.
ALIKE = {"/api/vision", "/api/vision/stream", "/api/structured/stream", "/v1/embeddings"}


@each_row("path", EXAMPLES, quickly=lambda path: path not in ALIKE)
def test_the_examples_work_as_they_are_described(offline_site, described, path):
    described.check_body(path, EXAMPLES[path])

    for fields in ({}, {"stream": True}) if path in STREAMED else ({},):
        body = {**EXAMPLES[path], **fields}
        answer = offline_site.client.post(path, json=body, headers=bearer(offline_site.key))

        assert answer.status_code in (200, 201), answer.text
        assert b'"error"' not in answer.data.replace(b'"error":null', b"")
        described.check_answer("POST", path, answer)


@each_row(
    ("path", "body"),
    [
        ("/api/chat", {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}),
        ("/api/chat", {"messages": [{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}]}),
        (
            "/api/chat",
            {"messages": [{"role": "developer", "content": [{"type": "input_text", "text": "Be brief"}]}]},
        ),
        (
            "/api/chat",
            {
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                        ],
                    },
                    {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "done"}]},
                ]
            },
        ),
        ("/v1/chat/completions", {"messages": [{"role": "system", "content": [{"type": "text", "text": "Hi"}]}]}),
        ("/v1/responses", {"input": [{"role": "user", "content": "Hi"}]}),
        (
            "/v1/responses",
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                    {
                        "type": "message",
                        "role": "assistant",
                        "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
                    },
                    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
                    {"role": "developer", "content": [{"type": "input_text", "text": "Be brief"}]},
                ]
            },
        ),
        ("/v1/embeddings", {"input": ["a", "b"]}),
        ("/v1/embeddings", {"input": [1, 2, 3]}),
        ("/v1/embeddings", {"input": [[1, 2], [3]], "encoding_format": "base64"}),
        (
            "/api/agui",
            {
                **EXAMPLES["/api/agui"],
                "tools": [{"name": "f", "description": "d", "parameters": {"type": "object"}}],
                "forwardedProps": {"temperature": 1},
                "state": None,
            },
        ),
        ("/api/embeddings/similarity", {"a": "x", "b": "y"}),
        ("/api/structured", {"prompt": "A cat", "schema": {"type": "json_schema", "json_schema": {"schema": {}}}}),
    ],
)
def test_what_is_taken_is_described(offline_site, described, path, body):
    described.check_body(path, body)

    answer = offline_site.client.post(path, json=body, headers=bearer(offline_site.key))

    described.check_answer("POST", path, answer)


@each_row(
    ("path", "key", "is_stream"),
    [
        ("/api/chat", "reasoning", False),
        ("/api/chat/stream", "reasoning", True),
        ("/api/agui", "encryptedValue", True),
        ("/v1/chat/completions", "reasoning_details", False),
        ("/v1/chat/completions", "reasoning_details", True),
        ("/v1/responses", "encrypted_content", False),
        ("/v1/responses", "encrypted_content", True),
    ],
)
def test_sealed_reasoning_is_described(make_app, upstream, described, path, key, is_stream):
    client = make_app(upstream_api="responses", secret_key=SECRET_KEY).test_client()
    if is_stream:
        stream_tools(upstream)
    else:
        upstream.answers(response("completed", reasoning("gAAAA"), function_call("call_1", "get_weather")))
    fields = {"stream": True} if is_stream and path in STREAMED else {}

    answer = client.post(path, json={**EXAMPLES[path], **fields})

    assert f'"{key}":' in answer.text
    described.check_answer("POST", path, answer)


@each_row(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/healthz", "/readyz", "/v1/models", "/api/usage", "/api/batches", "/docs")),
        *(("GET", path) for path in ("/openapi.json", "/api/chat/{chat_id}/stream", "/v1/models/{model}")),
        *(("GET", path) for path in ("/api/batches/{batch_id}", "/api/chat/stream/{stream_id}")),
        ("POST", "/webhooks/openai"),
        ("POST", "/api/chat/stream/{stream_id}/stop"),
        ("DELETE", "/api/tokens/{token_id}"),
    ],
    quickly=lambda method, path: method != "GET" or path in {"/healthz", "/v1/models", "/api/usage", "/docs"},
)
def test_other_routes_answer_as_they_are_described(offline_site, described, method, path):
    address = re.sub(r"{(\w+)}", "nothing", path)

    described.check_answer(
        method, path, offline_site.client.open(address, method=method, headers=bearer(offline_site.key))
    )


def test_a_server_that_cannot_serve_answers_as_it_is_described(app, described, monkeypatch):
    monkeypatch.setattr("app.runtime.lifecycle.Lifecycle.is_draining", property(lambda _: True))
    answer = app.test_client().get("/readyz")

    assert answer.status_code == 503
    described.check_answer("GET", "/readyz", answer)


@each_row("path", EXAMPLES)
def test_refusals_are_described(app, described, path):
    answer = app.test_client().post(path, json={"nobodyHasThis": 1})

    assert answer.status_code in (400, 401)
    described.check_answer("POST", path, answer)


def test_it_is_asked_for_again_only_if_it_has_changed(plain_client):
    first = plain_client.get("/openapi.json")
    again = plain_client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, again.status_code, again.data) == (200, 304, b"")
    assert "public" in first.headers["Cache-Control"]


def test_it_tells_nothing_of_the_settings(make_app, plain_client):
    plain = plain_client.get("/openapi.json").data
    other = make_app(chat_model="gpt-secret", max_tokens=77).test_client().get("/openapi.json").data

    assert plain == other
