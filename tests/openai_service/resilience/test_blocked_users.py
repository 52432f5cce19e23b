"""The upstream blocks one user: that is theirs to know, and nobody else notices."""

from __future__ import annotations

import logging

import pytest

from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion, error, sse, stream_of

CHAT = {"message": "Hi"}
BLOCKED = [
    (403, error("identifier blocked")),
    (403, error("Nothing to say", code="identifier_blocked", param="safety_identifier")),
    (400, error("This identifier has been blocked.", kind="invalid_request_error", param="safety_identifier")),
    (400, error("x", code="safety_identifier_blocked", kind="invalid_request_error")),
    (403, error("Requests are blocked for this safety_identifier.", kind="permission_error")),
    (403, error("Access denied", param="safety_identifier")),
    (400, error("This safety identifier was suspended for repeated violations.")),
    (400, error("No longer served", code="safety_identifier_deactivated", param="safety_identifier")),
    (403, error("You may not use the models any more (safety_identifier).", kind="permission_error")),
]
OTHERS = [
    (403, error("Your project may not use this model", code="model_not_allowed"), 502),
    (403, error("Country, region, or territory not supported", code="unsupported_country_region_territory"), 502),
    (400, error("Your prompt was blocked by our policy", code="content_policy_violation"), 422),
    (400, error("You wrote 'identifier blocked'", param="messages"), 400),
    (429, error("identifier blocked"), 503),
    (400, error("You wrote 'safety_identifier'", param="messages"), 400),
]
ABOUT_THE_FIELD = [
    error("Unknown parameter: 'safety_identifier'.", code="unknown_parameter", param="safety_identifier"),
    error("Unrecognized request argument supplied: safety_identifier"),
    error("safety_identifier: Extra inputs are not permitted"),
    error(
        "Invalid 'safety_identifier': string too long.", code="string_above_max_length", param="safety_identifier"
    ),
    error("Invalid value for safety_identifier", param="safety_identifier"),
    error("The parameter safety_identifier is not supported by this server."),
]


@each_row("retries", ["true", None])
@each_row(("status", "body"), BLOCKED)
@each_row("path", ["/api/chat", "/api/chat/stream", "/api/structured"])
def test_the_user_is_told_and_nothing_else_is_tried(client, upstream, path, status, body, retries):
    upstream.sent.clear()
    upstream.answers(body, status=status, headers={"x-should-retry": retries} if retries else {})

    answer = client.post(path, json={"prompt": "Hi"} if path == "/api/structured" else CHAT)

    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert "identifier" not in answer.json["error"]
    assert len(upstream.sent) == 1  # no retry, no fallback, nothing learnt


def test_an_error_amid_a_stream_is_told_too(client, upstream):
    upstream.streams_bytes([sse(*stream_of("Hel")[:2]), sse(error("no", code="identifier_blocked"))])

    assert b'"code":"forbidden"' in client.post("/api/chat/stream", json=CHAT).data


def test_others_do_not_notice_and_the_owner_is_not_at_fault(make_app, upstream, caplog):
    client = make_app(breaker_failures=2).test_client()
    with caplog.at_level(logging.ERROR):
        for status, body in BLOCKED * 2:
            upstream.answers(body, status=status)
            assert client.post("/api/chat", json=CHAT).status_code == 403
    upstream.answers(completion())

    assert client.post("/api/chat", json=CHAT).status_code == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert client.application.extensions["gatehouse"].owner_faults.find_hint() is None


def test_the_field_is_still_sent_after_it(client, upstream):
    upstream.answers(BLOCKED[2][1], status=400)
    client.post("/api/chat", json=CHAT)
    client.post("/api/chat", json=CHAT)

    assert "safety_identifier" in upstream.sent[-1].body


@pytest.mark.one_attempt
@pytest.mark.parametrize(("status", "body", "seen"), OTHERS)
def test_other_refusals_mean_what_they_did(client, upstream, status, body, seen):
    upstream.answers(body, status=status)

    assert client.post("/api/chat", json=CHAT).status_code == seen


@pytest.mark.one_attempt
@pytest.mark.parametrize("body", ABOUT_THE_FIELD)
def test_a_server_that_does_not_take_the_field_blocks_nobody(client, upstream, body):
    for _ in range(3):
        upstream.answers(body, status=400)

    answer = client.post("/api/chat", json=CHAT)

    assert answer.json.get("code") != "forbidden"
