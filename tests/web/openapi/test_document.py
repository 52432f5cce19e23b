"""The OpenAPI document: valid, complete, and with examples that work."""

from __future__ import annotations

import pytest
from openapi_spec_validator import validate

from app import create_app
from app.config import Config
from app.shared_state import MemoryState
from app.web.openapi.document import list_operations
from app.web.openapi.examples import EXAMPLES
from app.web.openapi.operations import OPERATIONS
from tests.fakes.site import SECRET_KEY, Site, bearer


@pytest.fixture
def document(client):
    return client.get("/openapi.json").json


@pytest.fixture
def offline_site():
    config = Config(secret_key=SECRET_KEY, auth_required=True)
    return Site(create_app(config, shared_state=MemoryState()), None)


def test_it_is_valid(document):
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


@pytest.mark.parametrize("path", EXAMPLES)
def test_the_examples_work(offline_site, path):
    answer = offline_site.client.post(path, json=EXAMPLES[path], headers=bearer(offline_site.key))

    assert answer.status_code in (200, 201), answer.text
    assert b'"error"' not in answer.data.replace(b'"error":null', b"")


def test_it_is_asked_for_again_only_if_it_has_changed(client):
    first = client.get("/openapi.json")
    again = client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, again.status_code, again.data) == (200, 304, b"")
    assert "public" in first.headers["Cache-Control"]


def test_it_tells_nothing_of_the_settings(make_app):
    plain = make_app().test_client().get("/openapi.json").data
    other = make_app(chat_model="gpt-secret", max_tokens=77).test_client().get("/openapi.json").data

    assert plain == other
