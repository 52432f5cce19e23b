"""One `request` line for each request, whatever became of it, and nothing of its content."""

from __future__ import annotations

import logging

import pytest

from tests.conftest import KEY, ORIGIN
from tests.fakes.site import bearer
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import chunk, completion, embeddings, error, sse, stream_of

HELLO = {"message": "Hi"}


@pytest.fixture
def lines(caplog, monkeypatch):
    """The fields of each line so far, of whichever application."""
    monkeypatch.setattr("app.configure_logging", lambda _: None)
    monkeypatch.setattr(logging.getLogger("app"), "propagate", True)
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, "app")
    return lambda: [record.fields for record in caplog.records if record.message == "request"]


def test_an_answer_with_what_it_took(site, upstream, lines):
    upstream.answers(completion("Hi"))
    key = site.new_key("chat")
    sent = site.chat(key, Origin=ORIGIN)

    (line,) = lines()
    times = {name: line.pop(name) for name in ("upstream_ms", "total_ms")}
    assert 0 <= times["upstream_ms"] <= times["total_ms"]
    assert line.pop("key_id") in key
    assert len(line.pop("user")) == 16
    assert line == {
        "request_id": sent.headers["X-Request-ID"],
        "route": "/api/chat",
        "method": "POST",
        "status": 200,
        "tenant": "acme",
        "origin": ORIGIN,
        "bytes_in": sent.request.content_length,
        "bytes_out": len(sent.data),
        "model": sent.headers["X-Model"],
        "attempts": 1,
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "cost_micro_usd": line["cost_micro_usd"],
    }
    assert line["cost_micro_usd"] > 0


def test_a_stream_has_its_line_when_it_ends(client, upstream, lines):
    upstream.streams(*stream_of("Hi"))
    answer = client.post("/api/chat/stream", json=HELLO, buffered=False)
    assert not lines()

    data = answer.data
    answer.close()

    (line,) = lines()
    assert (line["route"], line["status"], line.get("code")) == ("/api/chat/stream", 200, None)
    assert line["bytes_out"] == len(data)
    assert line["first_token_ms"] <= line["total_ms"]
    assert line["attempts"] == 1
    assert line["completion_tokens"] is not None


def test_a_stream_that_fails_has_the_code_of_its_last_event(client, upstream, lines):
    upstream.streams_bytes([sse(chunk({"content": "Hi"}))])
    answer = client.post("/api/chat/stream", json=HELLO)
    assert answer.data
    answer.close()

    (line,) = lines()
    assert (line["status"], line["code"]) == (200, "upstream_truncated")


def test_a_stream_whose_client_left(client, upstream, lines):
    upstream.streams(*stream_of("Hi"))
    answer = client.post("/api/chat/stream", json=HELLO, buffered=False)
    next(answer.iter_encoded())
    answer.close()

    (line,) = lines()
    assert (line["status"], line["code"]) == (200, "client_gone")


@each_row(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/api/chat", {}, ("/api/chat", "POST", 400, "invalid_request")),
        ("GET", "/api/secret-path", None, ("none", "GET", 404, "not_found")),
        ("DELETE", "/api/chat", None, ("none", "DELETE", 405, "method_not_allowed")),
        ("BREW", "/api/chat", None, ("none", "other", 405, "method_not_allowed")),
        ("GET", "/healthz", None, ("/healthz", "GET", 200, None)),
    ],
)
def test_a_request_without_a_call(client, *, lines, caplog, method, path, body, expected):
    caplog.clear()

    client.open(path, method=method, json=body)

    (line,) = lines()
    assert (line["route"], line["method"], line["status"], line.get("code")) == expected
    assert "attempts" not in line


def test_a_route_with_a_variable_is_its_template(client, lines):
    client.get("/api/chat/stream/0123456789")

    (line,) = lines()
    assert line["route"] == "/api/chat/stream/<stream_id>"


@pytest.mark.one_attempt
def test_what_failed_upstream_was_tried(client, upstream, lines):
    upstream.answers(error("overloaded"), status=500)
    client.post("/api/chat", json=HELLO)

    (line,) = lines()
    assert (line["status"], line["code"], line["attempts"]) == (502, "upstream_failed", 1)


def test_an_origin_that_is_no_origin_is_not_written(client, lines):
    client.post("/api/chat", json=HELLO, headers={"Origin": "my secret words"})
    client.post("/api/chat", json=HELLO, headers={"Origin": "https://elsewhere.example:8443"})

    assert [line["origin"] for line in lines()] == ["invalid", "https://elsewhere.example:8443"]


@pytest.mark.parametrize(("how", "expected"), [("id", "user-17"), ("none", None)])
def test_users_are_named_as_the_setting_says(make_site, upstream, lines, how, expected):
    upstream.answers(completion("Hi"))
    site = make_site(log_users=how)
    site.chat(site.token(userId="user-17", scopes=["chat"]))

    assert lines()[-1].get("user") == expected


def test_a_user_has_the_same_hash_each_time_and_another_one_another(make_site, upstream, lines):
    site = make_site()
    for user in ("user-17", "user-18", "user-17"):
        upstream.answers(completion("Hi"))
        site.chat(site.token(userId=user, scopes=["chat"]))

    one, other, again = [line["user"] for line in lines() if line["route"] == "/api/chat"]
    assert one == again != other
    assert "user-1" not in str(lines())


def test_each_request_that_cost_something_has_its_line_and_refused_ones_sixty_a_minute(
    client, upstream, lines, clock
):
    clock.move(600)  # whatever other tests have logged
    for _ in range(70):
        upstream.answers(embeddings([[0.5]]))
        client.post("/api/embeddings", json={"input": "Hi"})
        client.post("/api/embeddings", json={})

    statuses = [line["status"] for line in lines()]
    assert (statuses.count(200), statuses.count(400)) == (70, 60)


def test_without_the_level_no_line_is_made(make_app, lines, caplog):
    client = make_app().test_client()
    caplog.set_level(logging.WARNING, "app")
    client.get("/healthz")
    assert not lines()


def test_credentials_are_in_no_line(site, upstream, lines, caplog):
    upstream.answers(completion("Hi"))
    key = site.new_key("chat")
    site.chat(key)
    token = site.token(scopes=["chat"])
    upstream.answers(completion("Hi"))
    site.chat(token)

    logged = str([vars(record) for record in caplog.records])
    for secret in (key, token, KEY, *bearer(key).values()):
        assert secret not in logged
