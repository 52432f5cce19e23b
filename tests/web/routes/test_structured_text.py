"""POST /api/structured/stream as bare JSON text, for the AI SDK's `useObject`."""

from __future__ import annotations

import orjson
import pytest

from tests.fakes.person import Person
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import chunk, error, stream_of

ROUTE = "/api/structured/stream"
TEXT = f"{ROUTE}?format=text"
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
BODY = {"prompt": "A cat", "schema": SCHEMA}


def sentence_of(answer):
    assert answer.content_type == "text/plain; charset=utf-8"
    return answer.status_code, answer.text


@each_row(
    ("route", "accept"), [(TEXT, "*/*"), (TEXT, None), (ROUTE, "text/plain"), (ROUTE, "text/plain, */*;q=0.5")]
)
def test_the_text_grows_as_the_model_writes_it(client, upstream, route, accept):
    upstream.streams(*stream_of('{"na', 'me": "Mi', 'ez"}'))

    answer = client.post(route, json=BODY, headers={"Accept": accept} if accept else {}, buffered=False)

    assert list(answer.response) == [b'{"na', b'me": "Mi', b'ez"}']
    assert answer.content_type == "text/plain; charset=utf-8"
    assert upstream.sent[0].body["response_format"]["json_schema"]["schema"] == SCHEMA


@each_row(
    "accept",
    [None, "*/*", "text/event-stream", "application/json, text/plain, */*", "text/plain, text/event-stream"],
)
def test_others_get_events_as_before(client, upstream, accept):
    upstream.streams(*stream_of('{"name": "Miez"}'))

    answer = client.post(ROUTE, json=BODY, headers={"Accept": accept} if accept else {})

    assert answer.content_type == "text/event-stream; charset=utf-8"
    refused = client.post(ROUTE, json={}, headers={"Accept": accept} if accept else {})
    assert refused.json["code"] == "invalid_request"


def test_an_answer_that_does_not_match_breaks_the_connection_and_is_not_repaired(make_app, upstream):
    person = Person(make_app())
    upstream.streams(*stream_of('{"nom": ', '"Miez"}'))

    answer = person.post(TEXT, BODY)
    pieces = iter(answer.response)

    assert (next(pieces), next(pieces)) == (b'{"nom": ', b'"Miez"}')
    with pytest.raises(ConnectionResetError):
        next(pieces)
    answer.close()
    assert len(upstream.sent) == 1
    row = person.row()
    assert (row["outcome"], row["source"], row["cost_micro_usd"] > 0) == ("rejected", "reported", True)


def test_what_has_not_begun_is_repaired(client, upstream):
    upstream.streams(*stream_of())
    upstream.streams(*stream_of('{"name": "Miez"}'))

    answer = client.post(TEXT, json=BODY)

    assert (answer.status_code, answer.json if answer.is_json else answer.text) == (200, '{"name": "Miez"}')
    assert len(upstream.sent) == 2


@pytest.mark.one_attempt
@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([chunk({"refusal": "No."}), chunk(finish_reason="stop"), "[DONE]"], 422),
        ([error(code="server_error")], 502),
    ],
)
def test_a_failure_before_the_first_piece_is_one_sentence(client, upstream, answers, status):
    upstream.streams(*answers)

    assert sentence_of(client.post(TEXT, json=BODY))[0] == status


def test_a_refused_body_is_one_sentence(client, site):
    assert sentence_of(client.post(TEXT, json={**BODY, "nonsense": 1})) == (400, "Unknown field nonsense.")
    assert sentence_of(site.app.test_client().post(TEXT, json=BODY))[0] == 401


def test_a_cached_answer_is_the_same_value(make_app, upstream):
    client = make_app().test_client()
    upstream.streams(*stream_of('{"na', 'me": "Miez"}'))
    body = {**BODY, "cache": True, "temperature": 0}

    first, second = [client.post(TEXT, json=body).data for _ in range(2)]

    assert len(upstream.sent) == 1
    assert orjson.loads(first) == orjson.loads(second) == {"name": "Miez"}
    events = client.post(ROUTE, json=body).text
    assert len(upstream.sent) == 1
    assert '"data":{"name":"Miez"}' in events


@each_row("query", ["format=xml", "format=", "format=TEXT", "format=text&format=xml"])
def test_a_format_that_there_is_not_is_refused(client, upstream, query):
    answer = client.post(f"/api/structured/stream?{query}", json={"prompt": "Hi"})

    assert answer.status_code == 400
    assert "format: must be text, given once, or be left out." in answer.text
    assert upstream.sent == []
