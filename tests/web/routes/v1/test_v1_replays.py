"""Idempotency keys and resumable streams below /v1, as OpenAI's own client uses them."""

from __future__ import annotations

import secrets

import openai
import pytest

from tests.fakes.upstreams.openai_answers import stream_of

ASKED = {"model": "gpt-6.1-terra", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def keyed():
    """A key that no other test has used: they share the database."""
    return {"extra_headers": {"Idempotency-Key": secrets.token_hex(8)}}


def text_of(chunks):
    return "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)


def test_a_repeated_key_gets_the_same_answer_once_paid(sdk, upstream, keyed):
    first, second = [sdk.chat.completions.with_raw_response.create(**ASKED, **keyed) for _ in "12"]

    assert first.parse() == second.parse()
    assert second.headers["Idempotent-Replay"] == "true"
    assert len(upstream.sent) == 1


def test_a_repeated_key_gets_the_same_stream(sdk, upstream, keyed):
    upstream.streams(*stream_of("Hel", "lo"))

    texts = [text_of(sdk.chat.completions.create(**ASKED, **keyed, stream=True)) for _ in "12"]

    assert texts == ["Hello", "Hello"]
    assert len(upstream.sent) == 1


def test_a_key_of_another_body_is_a_conflict_that_is_not_tried_again(app, connect, sdk_waits, keyed):
    sdk = connect(app, max_retries=2)
    sdk.chat.completions.create(**ASKED, **keyed)

    with pytest.raises(openai.ConflictError) as caught:
        sdk.chat.completions.create(**{**ASKED, "temperature": 0}, **keyed)

    assert (caught.value.type, caught.value.code) == ("invalid_request_error", "idempotency_conflict")
    assert sdk_waits == []


def test_a_malformed_key_is_a_bad_request(client):
    answer = client.post("/v1/chat/completions", json=ASKED, headers={"Idempotency-Key": "a b"})

    assert answer.status_code == 400
    assert answer.json["error"]["param"] == "Idempotency-Key"


def test_a_resumable_stream_is_read_and_read_again(client, sdk, upstream):
    upstream.streams(*stream_of("Hel", "lo"))

    raw = sdk.chat.completions.with_raw_response.create(**ASKED, stream=True, extra_body={"resumable": True})
    text = text_of(raw.parse())
    again = client.get(f"/api/chat/stream/{raw.headers['X-Stream-Id']}?after=2")

    assert text == "Hello"
    assert b"data: [DONE]" in again.data
    assert b'"content":"lo"' in again.data
    assert len(upstream.sent) == 1


def test_only_a_stream_can_be_resumed(sdk):
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(**ASKED, extra_body={"resumable": True})

    assert caught.value.param == "resumable"
