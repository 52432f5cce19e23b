from __future__ import annotations

import json

from tests.conftest import over_both_endpoints
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import USAGE, completion
from tests.fakes.wire.bodies import TURNS, conversation_of

pytestmark = over_both_endpoints

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
    assert conversation_of(upstream.sent[0].body) == {
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
        "verbosity": "low",
        "maxTokens": 50,
        "systemPrompt": "Be brief.",
    }

    client.post("/api/structured", json={"prompt": "Where?", "schema": CITY, **settings})

    body = upstream.sent[0].body
    assert (body["model"], body["verbosity"], body["max_completion_tokens"]) == ("gpt-6-luna", "low", 50)
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


@each_row("fields", [{"systemPrompt": "Obey me."}, {"messages": [{"role": "system", "content": "Obey me."}]}])
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
    assert (answer.headers["X-Attempts"], answer.headers["X-Model"]) == ("2", "gpt-6.1-terra-2026-10-01")
    assert upstream.sent[0].body["response_format"]["json_schema"]["schema"] == schema


def test_a_call_leaves_one_record(make_app, upstream, records):
    upstream.answers(completion(OSLO))

    make_app().test_client().post("/api/structured", json={"prompt": "x", "schema": CITY})

    [record] = records
    assert (record.operation, record.outcome, record.attempts) == ("structured", "complete", 1)


OPTIONAL = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "age": {"type": "integer"},
        "note": {"type": "null"},
    },
    "required": ["name"],
}


def test_a_schema_is_normalized_where_that_is_asked_for_and_the_data_fits_the_callers_own(client, upstream):
    upstream.answers(completion('{"name": "Ada", "age": null, "note": null}'))

    answer = client.post("/api/structured", json={"prompt": "x", "schema": OPTIONAL, "normalize": True})

    assert answer.json["data"] == {"name": "Ada", "note": None}
    assert answer.json["normalized"] == [
        'schema: got "additionalProperties": false.',
        "schema.properties.age: was made required and nullable; null means it is absent.",
        "schema.properties.note: was made required; null was allowed already.",
    ]
    assert upstream.sent[0].body["response_format"]["json_schema"]["schema"] == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 2},
            "age": {"type": ["integer", "null"]},
            "note": {"type": "null"},
        },
        "required": ["name", "age", "note"],
        "additionalProperties": False,
    }


def test_an_answer_is_checked_against_the_callers_own_schema(client, upstream):
    upstream.answers(completion('{"name": "A", "age": 1, "note": null}'))
    upstream.answers(completion('{"name": "Ada", "age": 1}'))

    answer = client.post("/api/structured", json={"prompt": "x", "schema": OPTIONAL, "normalize": True})

    assert answer.json["data"] == {"name": "Ada", "age": 1}
    assert "$.name: it is shorter than 2 characters" in upstream.sent[1].body["messages"][-1]["content"]


def test_nulls_are_left_out_of_the_kind_of_object_that_the_answer_is(client, upstream):
    def case(kind, **node):
        return {"type": "object", "properties": {"kind": {"const": kind}, "x": node}, "required": ["kind"]}

    item = {"oneOf": [case("a", type="string"), case("b", type=["string", "null"]), case("c", type="integer")]}
    schema = {"type": "object", "properties": {"items": {"type": "array", "items": item}}, "required": ["items"]}
    upstream.answers(completion('{"items": [{"kind": "b", "x": null}, {"kind": "c", "x": null}]}'))

    answer = client.post("/api/structured", json={"prompt": "x", "schema": schema, "normalize": True})

    assert answer.json["data"] == {"items": [{"kind": "b", "x": None}, {"kind": "c"}]}


def test_nulls_are_left_out_by_all_schemas_that_apply_to_a_value(client, upstream):
    def thing(kind, z):
        inner = {"type": "object", "properties": {"z": z}}
        return {
            "type": "object",
            "properties": {"k": kind, "x": {"type": "string"}, "y": inner},
            "required": ["k"],
        }

    options = [thing({"const": kind}, {"type": "string"}) for kind in "ab"]
    both = {**thing({"type": "string"}, {"type": ["string", "null"]}), "anyOf": options}
    schema = {"type": "object", "properties": {"thing": both}, "required": ["thing"]}
    upstream.answers(completion('{"thing": {"k": "b", "x": null, "y": {"z": null}}}'))

    answer = client.post("/api/structured", json={"prompt": "x", "schema": schema, "normalize": True})

    assert answer.json["data"] == {"thing": {"k": "b", "y": {}}}


def test_nulls_are_left_out_of_what_refers_to_itself(client, upstream):
    node = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "next": {"$ref": "#"}},
        "required": ["name"],
    }
    deep = None
    for _ in range(90):
        deep = {"name": "n", "next": deep}
    upstream.answers(completion(json.dumps(deep)))

    data = client.post("/api/structured", json={"prompt": "x", "schema": node, "normalize": True}).json["data"]

    assert json.dumps(data).count('"name"') == 90
    assert "null" not in json.dumps(data)


def test_normalizing_a_strict_schema_changes_nothing(client, upstream):
    upstream.answers(completion(OSLO))

    answer = client.post("/api/structured", json={"prompt": "x", "schema": CITY, "normalize": True})

    assert (answer.json["data"], answer.json["normalized"]) == ({"city": "Oslo", "since": None}, [])
    assert upstream.sent[0].body["response_format"]["json_schema"]["schema"] == CITY


def test_a_fault_that_can_be_mended_is_told_with_the_way_to_have_it_mended(client, upstream):
    mendable = client.post("/api/structured", json={"prompt": "x", "schema": OPTIONAL}).json["error"]
    not_so = {**OPTIONAL, "additionalProperties": {"type": "string"}}
    hopeless = client.post("/api/structured", json={"prompt": "x", "schema": not_so}).json["error"]
    tried = client.post("/api/structured", json={"prompt": "x", "schema": not_so, "normalize": True}).json

    assert mendable.endswith('With "normalize": true this is fixed for you.')
    assert "normalize" not in hopeless
    assert (tried["code"], tried["error"].count("additionalProperties")) == ("unsupported_schema", 1)
    assert upstream.sent == []
