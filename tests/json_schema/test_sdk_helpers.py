"""What the helpers of the official SDKs make of people's types is accepted as it is."""

from __future__ import annotations

import re

import httpx2
import pytest
from openai.lib._parsing._completions import type_to_response_format_param
from openai.lib._pydantic import to_strict_json_schema

from app.json_schema.errors import SchemaNotUsable
from app.json_schema.normalize import normalize
from app.json_schema.validator import BoundedValidator
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion
from tests.fakes.upstreams.strict_rules import Refused, accept, answer_by_the_rules
from tests.json_schema.sdk_corpus.corpus import (
    NOT_STRICT,
    TYPES,
    ZOD,
    ZOD_NOT_STRICT,
    Cat,
    Inner,
    Node,
    make_model,
)


def check_exactly(schema):
    """The schema is taken as it is, and what is sent is strict and can be checked."""
    normalized = normalize(schema, exact=True)
    assert not normalized.unresolved, normalized.unresolved
    accept(normalized.schema)
    BoundedValidator(normalized.schema)
    BoundedValidator(normalized.original.schema if normalized.original else schema)


@pytest.mark.parametrize("model", [Node, Inner, Cat])
def test_a_model_may_be_the_whole_answer(model):
    check_exactly(to_strict_json_schema(model))


def check_refused(schema, why):
    """The schema is refused, as it is by OpenAI, for this reason."""
    normalized = normalize(schema, exact=True)
    assert normalized.unresolved
    with pytest.raises(Refused, match=re.escape(why)):
        accept(normalized.schema)


@each_row("name", TYPES)
def test_what_openai_python_makes_of_a_model_is_taken(name):
    schema = to_strict_json_schema(make_model(name))

    if name in NOT_STRICT:
        check_refused(schema, NOT_STRICT[name])
    else:
        check_exactly(schema)


@each_row("name", ZOD)
def test_what_openai_node_makes_of_a_zod_type_is_taken(name):
    schema = ZOD[name]["json_schema"]["schema"]

    if name in ZOD_NOT_STRICT:
        check_refused(schema, ZOD_NOT_STRICT[name])
    else:
        check_exactly(schema)


WHOLE = {
    "openai-python": (lambda: type_to_response_format_param(make_model("str")), "Answer"),
    "openai-node": (lambda: ZOD["zod4 string"], "answer"),
    "the Responses API": (lambda: {"type": "json_schema", **ZOD["zod3 string"]["json_schema"]}, "answer"),
    "its inner object": (lambda: ZOD["zod3 string"]["json_schema"], "answer"),
}


@pytest.mark.parametrize(("make", "name"), WHOLE.values(), ids=WHOLE)
def test_a_whole_response_format_is_taken_for_the_schema_in_it(client, upstream, make, name):
    upstream.otherwise = lambda sent: answer_by_the_rules(
        sent, httpx2.Response(200, json=completion('{"value": "a"}'))
    )

    answer = client.post("/api/structured", json={"prompt": "x", "schema": make()})

    assert (answer.status_code, answer.json.get("data")) == (200, {"value": "a"})
    sent = upstream.sent[0].body["response_format"]["json_schema"]
    assert (sent["name"], sent["strict"]) == (name, True)
    assert sent["schema"]["properties"]["value"]["type"] == "string"


def test_the_fields_beside_a_whole_response_format_come_first(client, upstream):
    body = {"prompt": "x", "schema": ZOD["zod4 string"], "name": "mine", "strict": False}

    client.post("/api/structured", json=body)

    sent = upstream.sent[0].body["response_format"]["json_schema"]
    assert (sent["name"], sent["strict"]) == ("mine", False)


def test_the_response_format_of_json_mode_is_json_mode(client, upstream):
    upstream.answers(completion('{"a": 1}'))

    answer = client.post("/api/structured", json={"prompt": "x", "schema": {"type": "json_object"}})

    assert answer.json["data"] == {"a": 1}
    assert upstream.sent[0].body["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    "pattern",
    [r"[\w-.]", r"[\d-x]", "{", "a{,3}", "a{x}", r"\8", r"\Z", r"\h", r"^\/(?<y>\d{4})\k<y>$", "[^]", r"\p{L}{2}"],
)
def test_a_pattern_is_what_javascript_takes_for_one(pattern):
    BoundedValidator({"type": "string", "pattern": pattern})


@pytest.mark.parametrize("pattern", ["(", "[z-a]", "[", "(?<=a", r"\\Z(", "a{99999999999}"])
def test_what_javascript_takes_for_no_pattern_is_refused(pattern):
    with pytest.raises(SchemaNotUsable, match="regular expression"):
        BoundedValidator({"type": "string", "pattern": pattern})


def test_null_is_an_answer_where_zod_3_wrote_nullable(client, upstream):
    upstream.answers(completion('{"value": null}'))

    answer = client.post("/api/structured", json={"prompt": "x", "schema": ZOD["zod3 nullable"]})

    assert answer.json["data"] == {"value": None}
    assert len(upstream.sent) == 1
