"""POST /api/completion: bare text for the AI SDK's `useCompletion`, and errors that a page shows as they are."""

from __future__ import annotations

import json

import pytest

from tests.fakes.person import Person
from tests.fakes.site import bearer
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import error, stream_of

ROUTE = "/api/completion"


def sentence_of(answer):
    assert answer.content_type == "text/plain; charset=utf-8"
    return answer.status_code, answer.text


@pytest.mark.chat_form
def test_a_prompt_is_answered_in_bare_text(make_app, upstream):
    person = Person(make_app())
    upstream.streams(*stream_of("Hel", "lo 😀"))

    answer = person.post(ROUTE, {"prompt": "Hi", "maxTokens": 7, "systemPrompt": "Be brief."})

    assert (answer.status_code, answer.get_data().decode()) == (200, "Hello 😀")
    assert answer.content_type == "text/plain; charset=utf-8"
    sent = upstream.sent[0].body
    assert sent["max_completion_tokens"] == 7
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    row = person.row()
    assert (row["operation"], row["route"], row["outcome"]) == ("chat", ROUTE, "complete")


@each_row(
    ("body", "sentence"),
    [
        ({}, "Missing prompt."),
        ({"prompt": " "}, "prompt: must not be empty."),
        ({"prompt": "Hi", "message": "Hi"}, "Unknown field message: did you mean prompt?"),
        ({"prompt": "Hi", "toolChoice": "auto"}, "toolChoice: needs tools."),
    ],
)
def test_a_refusal_is_one_sentence(client, body, sentence):
    assert sentence_of(client.post(ROUTE, json=body)) == (400, sentence)


def test_a_refusal_before_the_view_is_one_too(site):
    client = site.app.test_client()

    assert sentence_of(client.post(ROUTE, json={"prompt": "Hi"}))[0] == 401
    narrow = bearer(site.new_key(scopes="embeddings"))
    assert sentence_of(client.post(ROUTE, json={"prompt": "Hi"}, headers=narrow))[0] == 403
    key = bearer(site.new_key())
    assert sentence_of(client.post(ROUTE, data=json.dumps({"prompt": "Hi"}), headers=key))[0] == 415


@pytest.mark.one_attempt
def test_failures_before_and_after_the_first_token(client, upstream):
    upstream.answers(error(code="server_error"), status=500)
    upstream.streams(*stream_of("Hel")[:2], error(code="server_error"))

    assert sentence_of(client.post(ROUTE, json={"prompt": "Hi"}))[0] == 502
    broken = client.post(ROUTE, json={"prompt": "Hi"}, buffered=False)
    pieces = iter(broken.response)
    assert next(pieces) == b"Hel"
    with pytest.raises(ConnectionResetError):
        next(pieces)
