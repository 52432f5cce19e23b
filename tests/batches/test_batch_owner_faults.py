"""What only the owner can mend, and batches meet, is an ERROR with a hint, as it is for other calls."""

from __future__ import annotations

import logging

import httpx2
import pytest

from tests.batches.conftest import chats
from tests.fakes.upstreams.fake_batches import answer
from tests.fakes.upstreams.openai_answers import error


@pytest.fixture
def app(start, monkeypatch):
    monkeypatch.setattr("app.openai_service.batches.calls.pause", lambda *_, **__: iter(()))
    return start()


def submit(app):
    return app.test_client().post("/api/batches", json=chats("a", "b", maxTokens=50))


def lines(caplog):
    return [record for record in caplog.records if record.message == "upstream.owner_fault"]


@pytest.mark.parametrize(
    ("refused", "fault"),
    [
        (("POST /v1/files", 401, "invalid_api_key"), "key"),
        (("POST /v1/batches", 401, "invalid_api_key"), "key"),
        (("POST /v1/files", 429, "insufficient_quota"), "quota"),
        (("POST /v1/batches", 403, None), "permission"),
        (("POST /v1/files", 404, None), "address"),
    ],
)
def test_a_refused_call_is_told_and_the_caller_learns_nothing_of_it(app, upstream, caplog, refused, fault):
    route, status, code = refused
    for _ in range(5):
        upstream.fail(route, status, message="Your key sk-canary is wrong.", code=code)

    answered = submit(app)

    assert answered.status_code == (501 if fault == "address" else 502)
    assert "canary" not in answered.text + caplog.text
    (line,) = lines(caplog)
    assert (line.levelname, line.fault) == ("ERROR", fault)
    assert line.hint == app.extensions["gatehouse"].owner_faults.find_hint()


def test_a_server_that_cannot_be_reached_is_told(app, upstream, caplog):
    def refuse():
        raise httpx2.ConnectError("x") from ConnectionRefusedError()

    upstream.before["POST /v1/files"] = [refuse] * 5

    assert submit(app).status_code == 502
    assert [line.fault for line in lines(caplog)] == ["connection"]


def test_a_key_that_was_revoked_meanwhile_is_told_by_the_poll(app, upstream, caplog):
    submit(app)
    for _ in range(5):
        upstream.fail("GET /v1/batches/*", 401, code="invalid_api_key")

    app.test_cli_runner().invoke(args=["batches", "poll"])

    assert [line.fault for line in lines(caplog)] == ["key"]


@pytest.mark.parametrize(
    ("code", "fault"),
    [("model_not_found", "model"), ("billing_hard_limit_reached", "quota"), ("token_limit_exceeded", "queue")],
)
def test_a_batch_that_the_upstream_did_not_begin_is_told(app, upstream, caplog, code, fault):
    submit(app)
    upstream.end(status="failed")
    upstream.only["errors"] = {"object": "list", "data": [{"code": code, "message": "canary", "line": 1}]}

    app.test_cli_runner().invoke(args=["batches", "poll"])

    (line,) = lines(caplog)
    assert (line.levelname, line.fault) == ("ERROR", fault)
    assert "canary" not in caplog.text


def test_requests_that_failed_for_the_owners_fault_are_told_once(app, upstream, caplog):
    submit(app)
    gone = (404, error(code="model_not_found", message="The model canary does not exist."))
    upstream.end(gone, gone)

    app.test_cli_runner().invoke(args=["batches", "poll"])

    assert [line.fault for line in lines(caplog)] == ["model"]
    assert "canary" not in caplog.text


@pytest.mark.parametrize(
    "refusal",
    [
        (400, error(code="context_length_exceeded")),
        (403, error(code="safety_identifier_blocked", message="The safety identifier is blocked.")),
        (500, error()),
    ],
)
def test_what_is_no_fault_of_the_owner_is_not_told(app, upstream, caplog, refusal):
    with caplog.at_level(logging.ERROR):
        submit(app)
        upstream.end(refusal, answer("b"))
        app.test_cli_runner().invoke(args=["batches", "poll"])

    assert lines(caplog) == []
    assert app.extensions["gatehouse"].owner_faults.find_hint() is None


def test_a_batch_that_is_gone_is_no_fault(app, upstream, caplog):
    submit(app)
    upstream.fail("GET /v1/batches/*", 404, message="No such batch.")

    app.test_cli_runner().invoke(args=["batches", "poll"])

    assert lines(caplog) == []
