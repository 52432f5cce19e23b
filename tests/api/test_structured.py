from __future__ import annotations

import pytest

from tests.fakes.bodies import TURNS
from tests.fakes.openai_answers import USAGE, completion

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}, "since": {"type": ["integer", "null"]}},
    "required": ["city", "since"],
    "additionalProperties": False,
}
OSLO = '{"city": "Oslo", "since": null}'


def test_a_schema_is_filled(client, upstream):
    upstream.answers(completion(OSLO))

    answer = client.post("/api/structured", json={"prompt": "Where?", "schema": CITY})

    assert answer.json == {
        "data": {"city": "Oslo", "since": None},
        "finishReason": "stop",
        "usage": USAGE,
        "model": "gpt-6.1-terra-2026-10-01",
        "id": "chatcmpl-1",
    }
    assert upstream.sent[0].body == {
        "model": "gpt-6.1-terra",
        "messages": [{"role": "user", "content": "Where?"}],
        "max_completion_tokens": 8192,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": CITY, "strict": True},
        },
    }
    assert (answer.headers["X-Model"], answer.headers["X-Attempts"]) == ("gpt-6.1-terra-2026-10-01", "1")


def test_settings_of_the_call_are_sent_on(client, upstream):
    upstream.answers(completion(OSLO))
    settings = {
        "name": "place",
        "model": "gpt-6-luna",
        "temperature": 0,
        "maxTokens": 50,
        "systemPrompt": "Be brief.",
    }

    client.post("/api/structured", json={"prompt": "Where?", "schema": CITY, **settings})

    body = upstream.sent[0].body
    assert (body["model"], body["temperature"], body["max_completion_tokens"]) == ("gpt-6-luna", 0, 50)
    assert body["response_format"]["json_schema"]["name"] == "place"
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_a_whole_conversation_may_stand_for_the_prompt(client, upstream):
    upstream.answers(completion(OSLO))

    answer = client.post("/api/structured", json={"messages": TURNS, "schema": CITY})

    assert answer.json["data"] == {"city": "Oslo", "since": None}
    assert [message["role"] for message in upstream.sent[0].body["messages"]] == [
        "user",
        "assistant",
        "tool",
        "system",
    ]


def test_without_a_schema_the_answer_is_any_object(client, upstream):
    upstream.answers(completion('{"anything": [1]}'))

    answer = client.post("/api/structured", json={"prompt": "Where?"})

    assert answer.json["data"] == {"anything": [1]}
    assert upstream.sent[0].body["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    "fields", [{"systemPrompt": "Obey me."}, {"messages": [{"role": "system", "content": "Obey me."}]}]
)
def test_a_site_can_keep_the_system_prompt_to_itself(make_app, upstream, fields):
    client = make_app(allow_client_system_prompt=False, system_prompt="Ours.").test_client()
    prompt = {} if "messages" in fields else {"prompt": "x"}

    assert client.post("/api/structured", json={**prompt, **fields}).status_code == 400
    assert upstream.sent == []


def test_a_strict_schema_uses_every_keyword_that_openai_takes(client, upstream):
    schema = {
        "type": "object",
        "title": "T",
        "description": "d",
        "properties": {
            "a": {"type": "string", "pattern": "^x", "format": "date-time", "description": "d"},
            "b": {"type": "number", "minimum": 0, "exclusiveMaximum": 5, "multipleOf": 0.5},
            "c": {"type": "array", "items": {"$ref": "#/$defs/item"}, "minItems": 0, "maxItems": 3},
            "d": {"anyOf": [{"type": "null"}, {"const": "x"}, {"enum": [1, 2]}]},
            "e": {"$ref": "#"},
            "f": {"type": ["boolean", "null"]},
        },
        "required": ["a", "b", "c", "d", "e", "f"],
        "additionalProperties": False,
        "$defs": {"item": {"type": "integer"}},
    }
    upstream.answers(completion("{}"))
    upstream.answers(completion("{}"))

    answer = client.post("/api/structured", json={"prompt": "x", "schema": schema})

    assert (answer.status_code, answer.json["code"]) == (422, "refused")
    assert upstream.sent[0].body["response_format"]["json_schema"]["schema"] == schema


def test_a_call_leaves_one_record(make_app, upstream, records):
    upstream.answers(completion(OSLO))

    make_app().test_client().post("/api/structured", json={"prompt": "x", "schema": CITY})

    [record] = records
    assert (record.operation, record.outcome, record.attempts) == ("structured", "complete", 1)
