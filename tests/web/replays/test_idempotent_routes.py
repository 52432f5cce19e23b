"""`Idempotency-Key` on every POST that may cost something, as the URL map has them, in each of its formats."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from app.web.guards import find_guard
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion, embeddings, stream_of
from tests.fakes.wire.bodies import EVERY_SMALLEST, USER

BILLED = {"chat", "vision", "embeddings", "structured"}
UI_MESSAGE = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
BODIES: list[tuple[str, dict[str, Any]]] = [
    *EVERY_SMALLEST.items(),
    ("/api/chat", {"messages": [UI_MESSAGE]}),
    ("/api/agui", {"threadId": "t1", "runId": "r1", "messages": [{"id": "1", **USER}]}),
    ("/api/completion", {"prompt": "Hi"}),
    ("/api/structured/stream?format=text", {"prompt": "Hi"}),
    ("/v1/chat/completions", {"messages": [USER], "stream": True}),
    ("/v1/responses", {"input": "Hi", "stream": True}),
]
STREAMED = {
    "/api/agui",
    "/api/chat/openai",
    "/api/chat/stream",
    "/api/completion",
    "/api/structured/stream",
    "/api/structured/stream?format=text",
    "/api/vision/stream",
}
ELSEWHERE = {
    "/api/batches",  # with tests of their own
    "/api/batches/<batch_id>/cancel",
    "/embed/ask",  # whose key is in a field
    "/api/chat/stream/<stream_id>/stop",  # which costs nothing
    "/console/image",
}


def test_every_route_that_may_cost_something_is_here(app):
    billed = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if "POST" in rule.methods
        and (guard := find_guard(app.view_functions[rule.endpoint])) is not None
        and not BILLED.isdisjoint(guard.scopes)
    }

    assert billed - ELSEWHERE == {path.partition("?")[0] for path, _ in BODIES}


each_body = each_row(("path", "body"), BODIES, ids=[f"{path} {', '.join(body)}" for path, body in BODIES])


def new_key():
    return {"Idempotency-Key": f"k-{uuid4()}"}


def prepare(upstream, path, body):
    if "/embeddings" in path:
        upstream.answers(embeddings([[1.0, 0.0], [1.0, 0.0]][: 2 if "a" in body else 1]))
    elif path in STREAMED or body.get("stream") or UI_MESSAGE in body.get("messages", ()):
        upstream.streams(*stream_of('{"a"', ":1}"))
    else:
        upstream.answers(completion('{"a":1}'))


@each_body
def test_the_same_answer_is_paid_once(records, client, upstream, path, body):
    prepare(upstream, path, body)
    records.clear()
    key = new_key()
    first = client.post(path, json=body, headers=key)
    told = first.data
    again = client.post(path, json=body, headers=key)

    assert (first.status_code, again.data) == (200, told)
    assert again.content_type == first.content_type
    assert again.headers["Idempotent-Replay"] == "true"
    assert (len(upstream.sent), len(records)) == (1, 1)


@each_body
def test_another_body_is_a_conflict(client, upstream, path, body):
    prepare(upstream, path, body)
    key = new_key()
    _ = client.post(path, json=body, headers=key).data

    refused = client.post(path, json={**body, "model": "gpt-6-luna"}, headers=key)

    assert refused.status_code == 409
    assert refused.headers["X-Should-Retry"] == "false"
    assert len(upstream.sent) == 1


@each_body
def test_a_malformed_key_is_refused(client, upstream, path, body):
    assert client.post(path, json=body, headers={"Idempotency-Key": "a b"}).status_code == 400
    assert upstream.sent == []
