from __future__ import annotations

import copy
import json

import httpx2
import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator

from app.json_schema.errors import CheckTooCostly, SchemaNotUsable
from app.json_schema.normalize import normalize
from app.json_schema.optional_nulls import OptionalNulls
from app.json_schema.strict_rules import InvalidSchema, find_problems
from app.json_schema.validator import BoundedValidator
from tests.fakes.generated import generated
from tests.fakes.upstreams.openai_answers import completion
from tests.fakes.upstreams.strict_rules import Refused, accept, answer_by_the_rules
from tests.json_schema.schema_corpus import MENDABLE, STRICT, WILD, Endless, instances, schemas

UNCHECKED = list(HealthCheck)  # the schemas are large, and many of them say nothing about the rule


def is_accepted(schema):
    try:
        accept(schema)
    except Refused:
        return False
    return True


@generated(cases=200, quickly=15, suppress_health_check=UNCHECKED)
@given(schemas(STRICT, MENDABLE, WILD))
def test_what_is_let_through_or_mended_the_rules_accept_and_nothing_else(schema):
    given_schema = copy.deepcopy(schema)
    faults = find_problems(schema)
    assert not faults if is_accepted(schema) else faults

    normalized = normalize(schema)

    assert schema == given_schema
    assert bool(normalized.changes) is (normalized.schema != schema)
    if not faults:
        assert (normalized.schema, normalized.original, normalized.unresolved) == (schema, None, ())
    elif not normalized.unresolved:
        assert is_accepted(normalized.schema)
        assert normalize(normalized.schema).schema == normalized.schema
    for fault in [*faults, *normalized.unresolved]:
        path, _, rest = fault.partition(": ")
        assert path.split(".")[0] == "schema"
        assert rest.endswith(".")
    for some in (faults, normalized.unresolved):
        assert not some or len(str(InvalidSchema(some))) < 500


@generated(cases=200, quickly=20, suppress_health_check=UNCHECKED)
@given(schemas(MENDABLE), st.data())
def test_an_instance_of_the_mended_schema_becomes_one_of_the_original(schema, data):
    normalized = normalize(schema)
    assume(not normalized.unresolved and normalized.original)
    try:
        BoundedValidator(schema)
        value = data.draw(instances(normalized.schema, normalized.schema))
    except (Endless, SchemaNotUsable):
        assume(False)
    assume(Draft202012Validator(normalized.schema).is_valid(value))
    before = copy.deepcopy(value)

    try:
        OptionalNulls(normalized.schema, normalized.original).remove(value)
    except CheckTooCostly:
        assume(False)

    Draft202012Validator(schema).validate(value)
    if Draft202012Validator(schema).is_valid(before):
        assert value == before or "anyOf" in json.dumps(normalized.schema)


@pytest.mark.generated
@pytest.mark.one_attempt
@pytest.mark.parametrize("mends", [False, True])
def test_the_api_refuses_nothing_that_was_let_through(client, upstream, mends):
    upstream.otherwise = lambda sent: answer_by_the_rules(sent, httpx2.Response(200, json=completion("no JSON")))

    @generated(cases=50, quickly=12, suppress_health_check=UNCHECKED)
    @given(schemas(STRICT, MENDABLE, WILD))
    def ask(schema):
        answer = client.post("/api/structured", json={"prompt": "x", "schema": schema, "normalize": mends})

        assert answer.json["code"] in {"unsupported_schema", "refused"}
        assert answer.json["error"] != "schema: the model does not support it."

    ask()
    assert len(upstream.sent) >= 5
