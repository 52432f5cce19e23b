from __future__ import annotations

import json
import random
import signal
import time
from contextlib import contextmanager

import pytest

from app.json_schema.errors import CheckTooCostly
from app.json_schema.normalize import normalize
from app.json_schema.optional_nulls import OptionalNulls
from app.json_schema.validator import BoundedValidator
from tests.fakes.tables import crossed, each_row, further, in_part
from tests.fakes.upstreams.openai_answers import USAGE, completion

pytestmark = pytest.mark.one_attempt

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ADA = {"name": "Ada", "age": 36}
TWICE = {name: 2 * count for name, count in USAGE.items()}


@contextmanager
def at_most(seconds):
    """Breaks off what would take for ever; in seconds of CPU, which a busy machine stretches, but not fivefold."""

    def give_up(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, give_up)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@pytest.fixture
def extract(client, upstream):
    """Asks for a schema to be filled; the model answers with these texts, one after the other."""

    def ask(schema, *answers, strict=True, **fields):
        for answer in answers:
            upstream.answers(
                answer if isinstance(answer, dict) and "choices" in answer else completion(_check_text(answer))
            )
        with at_most(2.0):
            return client.post(
                "/api/structured", json={"prompt": "x", "schema": schema, "strict": strict, **fields}
            )

    return ask


def _check_text(answer):
    return answer if isinstance(answer, str) else json.dumps(answer)


def outcome(answer):
    return answer.status_code, answer.json.get("code")


def defs(**definitions):
    return {**PERSON, "$defs": definitions}


def test_an_answer_that_fits_is_taken_at_once(extract, upstream):
    answer = extract(PERSON, ADA)

    assert (answer.json["data"], answer.headers["X-Attempts"]) == (ADA, "1")


@pytest.mark.parametrize(
    "wrong", ["no JSON", '{"name": "Ada"}', '{"name": "Ada", "age": "old"}', *further("", "[]", "null")]
)
def test_an_answer_that_does_not_fit_is_mended_once(extract, upstream, wrong):
    answer = extract(PERSON, wrong, ADA)

    assert (answer.status_code, answer.json["data"]) == (200, ADA)
    assert (answer.headers["X-Attempts"], answer.json["usage"]) == ("2", TWICE)
    first, second = [sent.body for sent in upstream.sent]
    assert second | {"messages": first["messages"]} == first
    *asked, shown, demand = second["messages"]
    assert asked == first["messages"]
    assert shown == {"role": "assistant", "content": wrong}
    assert demand["role"] == "user"


def test_what_is_wrong_is_told_to_the_model_in_few_words(extract, upstream):
    extract(PERSON, {"name": "x" * 5_000, "age": "x" * 5_000}, ADA)

    demand = upstream.sent[1].body["messages"][-1]["content"]
    assert "$.age" in demand
    assert "xxx" not in demand
    assert len(demand) < 1_000


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"name": 5}, "$.people[1].name: it is not of type"),
        ({"name": "Ada", "age": 5}, "$.people[1]: Additional properties are not allowed ('age' was unexpected)"),
        ({}, '$.people[1]: "name" is a required property'),
        (5, "$.people[1]: it is not of type"),
    ],
)
def test_what_is_wrong_is_found_behind_references_and_beside_null(extract, upstream, value, words):
    person = {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
    }
    people = {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/person"}, {"type": "null"}]}}
    schema = {
        "type": "object",
        "properties": {"people": people},
        "required": ["people"],
        "additionalProperties": False,
    }

    extract({**schema, "$defs": {"person": person}}, {"people": [None, value]}, {"people": []})

    assert words in upstream.sent[1].body["messages"][-1]["content"]


def test_an_answer_that_never_fits_is_refused_after_one_repair(extract, make_app, upstream, records):
    upstream.answers(completion("no"))
    upstream.answers(completion("never"))

    answer = make_app().test_client().post("/api/structured", json={"prompt": "x", "schema": PERSON})

    assert (answer.status_code, answer.json["code"], len(upstream.sent)) == (422, "refused", 2)
    assert "never" not in answer.text
    [record] = records
    assert (record.attempts, record.usage.raw, record.outcome) == (2, TWICE, "rejected")


@pytest.mark.parametrize(
    ("repaired", "answer", "code"),
    crossed(
        [False, True],
        {
            "refused": (completion(None, refusal="I cannot CANARY"), "refused"),
            "cut off": (completion('{"name": "A', finish_reason="length"), "truncated"),
            "filtered": (completion("", finish_reason="content_filter"), "content_filter"),
        },
    ),
)
def test_a_model_that_would_not_or_could_not_is_not_asked_again(extract, upstream, answer, code, repaired):
    result = extract(PERSON, *(["no JSON"] if repaired else []), answer)

    assert outcome(result) == (422, code)
    assert "CANARY" not in result.text
    assert len(upstream.sent) == 1 + repaired


def test_a_failed_repair_is_a_failure_of_the_upstream(extract, upstream):
    upstream.answers(completion("no JSON"))
    upstream.answers({"error": {}}, status=500)

    assert outcome(extract(PERSON)) == (502, "upstream_failed")


def test_the_model_that_answered_mends_its_answer(make_app, upstream):
    upstream.answers({"error": {"message": "busy"}}, status=429, headers={"Retry-After": "30"})
    for answer in ({"name": "Ada"}, ADA):
        upstream.answers(completion(json.dumps(answer)))
    client = make_app(chat_fallback_models=("b", "c")).test_client()

    answer = client.post("/api/structured", json={"prompt": "x", "schema": PERSON})

    assert answer.json["data"] == ADA
    assert [sent.body["model"] for sent in upstream.sent] == ["gpt-6.1-terra", "b", "b"]


def test_usages_are_summed_member_by_member(extract):
    details = {"prompt_tokens_details": {"cached_tokens": 4}}

    answer = extract(
        PERSON, completion("no", usage=USAGE | details), completion(_check_text(ADA), usage=USAGE | details)
    )

    assert answer.json["usage"] == TWICE | {"prompt_tokens_details": {"cached_tokens": 8}}


def test_an_unknown_usage_adds_nothing(extract):
    assert extract(PERSON, completion("no", usage=None), completion(_check_text(ADA))).json["usage"] == USAGE


@pytest.mark.parametrize("prompt", ["Tell me", "Answer in JSON"])
def test_without_a_schema_any_object_will_do_and_the_prompt_speaks_of_json(client, upstream, prompt):
    upstream.answers(completion("[1]"))
    upstream.answers(completion('{"a": 1}'))

    answer = client.post("/api/structured", json={"prompt": prompt})

    assert (answer.status_code, answer.json["data"], len(upstream.sent)) == (200, {"a": 1}, 2)
    body = upstream.sent[0].body
    assert body["response_format"] == {"type": "json_object"}
    assert "json" in json.dumps(body["messages"]).lower()


def test_a_keyword_of_an_older_draft_is_not_checked(extract):
    schema = {"type": "object", "additionalItems": False, "dependencies": {"a": ["b"]}}

    answer = extract(schema, {"a": "x"}, strict=False)

    assert (answer.json["data"], answer.headers["X-Attempts"]) == ({"a": "x"}, "1")


def test_a_schema_that_is_not_strict_may_be_any_json_schema(extract, upstream):
    schema = {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 1, "x-note": "mine"}

    answer = extract(schema, "[-1]", "[1, 2]", strict=False, name="numbers")

    assert (answer.json["data"], answer.headers["X-Attempts"]) == ([1, 2], "2")
    format_ = upstream.sent[0].body["response_format"]
    assert format_ == {
        "type": "json_schema",
        "json_schema": {"name": "numbers", "schema": schema, "strict": False},
    }


@each_row(
    ("change", "path"),
    [
        ({"type": "array"}, "schema"),
        ({"anyOf": [PERSON]}, "schema"),
        ({"additionalProperties": True}, "schema"),
        ({"additionalProperties": None}, "schema"),
        ({"required": ["name"]}, "schema.properties.age"),
        ({"required": ["name", "age", "other"]}, "schema"),
        ({"required": None}, "schema"),
        ({"properties": []}, "schema"),
        ({"properties": {"name": {}}, "required": ["name"]}, "schema.properties.name"),
        ({"properties": {"name": True}, "required": ["name"]}, "schema.properties.name"),
        ({"properties": {"name": {"type": "text"}}, "required": ["name"]}, "schema.properties.name"),
        ({"properties": {"name": {"type": [[]]}}, "required": ["name"]}, "schema.properties.name"),
        ({"properties": {"name": {"type": []}}, "required": ["name"]}, "schema.properties.name"),
        ({"properties": {"name": {"type": "string", "odd": 1}}, "required": ["name"]}, "schema.properties.name"),
        (
            {"properties": {"name": {"type": "string", "format": []}}, "required": ["name"]},
            "schema.properties.name",
        ),
        (
            {"properties": {"name": {"type": "string", "format": {}}}, "required": ["name"]},
            "schema.properties.name",
        ),
        ({"properties": {"name": {"type": "array"}}, "required": ["name"]}, "schema.properties.name"),
        ({"properties": {"name": {"type": "array", "items": []}}, "required": ["name"]}, "schema.properties.name"),
        ({"properties": {"name": {"enum": []}}, "required": ["name"]}, "schema.properties.name"),
        ({"properties": {"name": {"anyOf": []}}, "required": ["name"]}, "schema.properties.name"),
        ({"properties": {"name": {"anyOf": {}}}, "required": ["name"]}, "schema.properties.name"),
        ({"properties": {"name": {"$ref": "#/$defs/no"}}, "required": ["name"]}, "schema.properties.name"),
        ({"properties": {"name": {"$ref": 5}}, "required": ["name"]}, "schema.properties.name"),
        ({"properties": {"name": {"$ref": "other.json"}}, "required": ["name"]}, "schema.properties.name"),
        ({"$defs": []}, "schema"),
        ({"$defs": {"a": 5}}, "schema.$defs.a"),
        ({"allOf": []}, "schema"),
        ({"not": {}}, "schema"),
        ({"properties": {"x" * 130_000: {"type": "null"}}, "required": ["x" * 130_000]}, "schema"),
        ({"properties": {"name": {"enum": list(range(1_001))}}, "required": ["name"]}, "schema"),
        (
            {"properties": {"name": {"type": "string", "pattern": "("}}, "required": ["name"]},
            'schema.properties.name: "pattern"',
        ),
        (
            {"properties": {"name": {"type": "number", "minimum": "0"}}, "required": ["name"]},
            "schema.properties.name.minimum",
        ),
    ],
)
def test_a_schema_outside_the_strict_subset_is_refused_with_the_place(extract, upstream, change, path):
    answer = extract({**PERSON, **change})

    assert outcome(answer) == (400, "unsupported_schema")
    assert answer.json["error"].startswith(path)
    assert len(answer.json["error"]) < 500
    assert upstream.sent == []


@pytest.mark.parametrize("levels", [10, 11])
def test_a_strict_schema_may_be_ten_levels_deep(extract, upstream, levels):
    schema = {"type": "string"}
    for _ in range(levels - 1):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"], "additionalProperties": False}
    extract(schema, "{}", "{}")

    assert bool(upstream.sent) is (levels == 10)


@each_row(
    "schema",
    [
        {"type": {}},
        {"type": "text"},
        {"properties": []},
        {"required": "name"},
        {"minLength": -1},
        {"multipleOf": 0},
        {"pattern": "("},
        {"pattern": "a{99999999999999999999}"},
        {"pattern": "(" * 3_000},
        {"patternProperties": {"(": {}}},
        {"patternProperties": {"a{99999999999999999999}": {}}},
        {"$ref": "#"},
        {"$ref": "#/nothing"},
        {"$ref": "#anchor"},
        {"$ref": "#/anyOf/x", "anyOf": [{}]},
        {"$ref": "#/title", "title": "t"},
        {"$ref": "#/default", "default": {"type": "object"}},
        {"$ref": "http://[a"},
        {"$ref": "//127.0.0.1:1/x"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": 5},
        {"$dynamicRef": "#x"},
        {"properties": {"a": {"$ref": "#/properties/a"}}},
        {"properties": {"a": {"$ref": "#/properties/b"}, "b": {"$ref": "#/properties/a"}}},
        {"properties": {"a": {"$ref": "http://127.0.0.1:1/schema.json"}}},
        {"$defs": {"a": {"$id": "http://127.0.0.1:1/", "$ref": "x"}}},
        {"anyOf": [{"$ref": "#"}]},
        {"if": {"$ref": "#"}},
        {"not": {"$ref": "#"}},
        {"unevaluatedProperties": {"$ref": "#/nothing"}},
        {"$defs": {"0": {}} | {str(n): {"not": {"$ref": f"#/$defs/{n - 1}"}} for n in range(1, 600)}},
        {"pattern": []},
        {"$id": 5},
    ],
)
def test_a_schema_that_is_none_is_refused_and_nothing_is_fetched(extract, upstream, schema):
    answer = extract(schema, "{}", strict=False)

    assert outcome(answer) == (400, "unsupported_schema")
    assert upstream.sent == []


@each_row(
    "schema",
    [
        {"$id": "http://[a"},
        {"$id": "x:y"},
        {"$schema": "http://json-schema.org/draft-04/schema#"},
        {"$schema": "nothing:here"},
        {"$anchor": "a"},
        {"$comment": "c", "format": "nothing"},
        {"$dynamicAnchor": "node"},
        {"contentEncoding": "base64"},
        {"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"properties": {"a": {"$ref": "#/$defs/a"}}}}},
        {"properties": {"a": {"$ref": "#/$defs/x~1y~0z%20"}}, "$defs": {"x/y~z ": {}}},
        {"properties": {"$ref": {"type": "object"}}},
        {"enum": [{"$ref": "http://127.0.0.1:1/"}, {"a": {"a": {}}}]},
        {"dependentRequired": {"x": ["y"]}, "propertyNames": {"maxLength": 5}, "unevaluatedProperties": True},
    ],
)
def test_odd_but_valid_schemas_are_answered(extract, schema):
    answer = extract(schema, {"a": {"a": {}}}, strict=False)

    assert (answer.status_code, answer.json.get("data")) == (200, {"a": {"a": {}}})


@pytest.mark.parametrize("strict", [True, False])
def test_a_recursive_schema_is_filled(extract, strict):
    node = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
        "required": ["next"],
        "additionalProperties": False,
    }
    schema = {**node, "$defs": {"node": node}}
    data = {"next": {"next": {"next": None}}}

    assert extract(schema, data, strict=strict).json["data"] == data


def patterned(*patterns):
    properties = {f"p{number}": {"type": "string", "pattern": pattern} for number, pattern in enumerate(patterns)}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def test_a_pattern_is_checked(extract, upstream):
    answer = extract(patterned("^[A-Z]{3}$"), {"p0": "oslo"}, {"p0": "OSL"})

    assert (answer.json["data"], answer.headers["X-Attempts"]) == ({"p0": "OSL"}, "2")
    assert '$.p0: it does not match "^[A-Z]{3}$"' in upstream.sent[1].body["messages"][-1]["content"]


@pytest.mark.parametrize(
    "pattern",
    [r"^(?=.*\d)a+$", r"^(a|b)\1$", "(?i)^[a-z]$", "(?i:^[a-z]$)", "^(?i)(?P<name>[a-z])$", "^.{600,5000}$"],
)
def test_a_pattern_that_cannot_be_checked_in_bounded_time_is_left_to_the_model(extract, pattern):
    answer = extract(patterned(pattern, "^ok$"), {"p0": "!", "p1": "no"}, {"p0": "!", "p1": "ok"})

    assert (answer.json["data"], answer.headers["X-Attempts"]) == ({"p0": "!", "p1": "ok"}, "2")


# Each just under the 1,000 characters that a pattern may have.
COSTLY_PATTERNS = {
    "negated ranges": "[^\u0100-\u4000]" * 160,
    "folded ranges": "(?i)" + "[\u0080-\U0010fff0]" * 190,
    "folded ranges of a group": "(?i:" + "[\u0080-\U0010fff0]" * 190 + ")",
    "no spaces": r"\S" * 490,
    "no letters": r"\P{L}" * 195,
    "counts": "(a{99}){99}" * 89,
}


@pytest.mark.parametrize("pattern", COSTLY_PATTERNS.values(), ids=COSTLY_PATTERNS)
def test_many_costly_patterns_are_compiled_in_time(pattern):
    schema = patterned(*(f"{pattern}{number:02}" for number in range(60)))
    started = time.process_time()

    BoundedValidator(schema)

    assert time.process_time() - started < 0.1


@pytest.mark.parametrize("count", [1, 60])
def test_costly_patterns_are_matched_in_time(extract, count):
    # What may follow grows as fast as what was read, which no cache of an automaton holds.
    schema = patterned(*(f"(a|b)*a(a|b){{{200 + number}}}c" for number in range(count)))
    text = "".join(random.Random(1).choices("ab", k=30_000))
    data = {f"p{number}": text for number in range(count)}

    answer = extract(schema, data, data)

    assert outcome(answer) in {(422, "refused"), (400, "unsupported_schema")}


SLOW = "a" * 40 + "!"


@each_row(
    "schema",
    [
        {"properties": {"x": {"type": "string", "pattern": "(a+)+$"}}},
        {"patternProperties": {"(a+)+$": {}}},
        {"patternProperties": {"(a+)+$": {}}, "additionalProperties": False},
        {"patternProperties": {"(a+)+$": {}}, "additionalProperties": {"type": "string"}},
        {"patternProperties": {"(a+)+$": {}}, "unevaluatedProperties": False},
        {"propertyNames": {"pattern": "(a+)+$"}},
    ],
)
def test_a_pattern_that_would_take_for_ever_does_not(extract, schema):
    answer = extract(schema, {"x": SLOW, SLOW: SLOW}, {"x": SLOW, SLOW: SLOW}, strict=False)

    assert answer.status_code in (200, 400, 422)


def _chain(levels, width, leaf):
    """Definitions that each refer to the next so many times over."""
    chain = {f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}] * width} for level in range(levels)}
    return chain | {f"d{levels}": leaf}


@pytest.mark.parametrize(
    ("strict", "levels", "width"),
    crossed([False, True], [(4, 200), (30, 2), (5, 60)], by_default=["(4, 200)", "(30, 2)"]),
)
def test_references_that_multiply_end_in_time(extract, strict, levels, width):
    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    schema |= {"$ref": "#/$defs/d0", "$defs": _chain(levels, width, {"type": "string"})}

    answer = extract(schema, "{}", "{}", strict=strict)

    assert outcome(answer) in {(400, "unsupported_schema"), (422, "refused")}


@pytest.mark.parametrize("strict", [True, False])
def test_a_recursion_that_multiplies_with_the_depth_of_the_answer_ends_in_time(extract, strict):
    node = {
        "type": "object",
        "properties": {"a": {"anyOf": [{"$ref": "#/$defs/node"}] * 2 + [{"type": "null"}]}},
        "required": ["a"],
        "additionalProperties": False,
    }
    data = "wrong"
    for _ in range(25):
        data = {"a": data}

    answer = extract({**node, "$defs": {"node": node}}, data, data, strict=strict)

    assert outcome(answer) in {(400, "unsupported_schema"), (422, "refused")}


def test_uniqueness_among_many_is_found_in_time(extract):
    data = {"a": [{"b": number} for number in range(3_000)]}

    answer = extract({"properties": {"a": {"uniqueItems": True}}}, data, strict=False)

    assert answer.status_code == 200


@each_row("text", ["[" * 5_000, '{"a":' * 5_000, "1" * 5_000, "1e999", "NaN", "{}{}"])
def test_an_answer_that_is_hardly_json_is_refused_like_any_other(extract, text):
    assert outcome(extract({}, text, text, strict=False)) == (422, "refused")


def test_an_answer_nested_deeply_does_no_harm(extract):
    deep = '{"a":' * 900 + "1" + "}" * 900
    schema = {"properties": {"a": {"$ref": "#"}}}

    answer = extract(schema, deep, deep, strict=False)

    assert answer.status_code in (200, 400, 422)


LARGE = {
    "properties": {"properties": {f"p{number}": {"type": "string"} for number in range(20_000)}},
    "definitions": {"$defs": {f"d{number}": {"type": "string"} for number in range(20_000)}},
    "conditions": {"allOf": [{"type": "object"}] * 20_000},
    "a pattern": {"properties": {"a": {"pattern": "a|" * 500_000}}},
}


@pytest.mark.parametrize("schema", in_part(LARGE, by_default={"properties", "conditions", "a pattern"}))
def test_a_large_schema_is_refused_or_filled_in_time(extract, schema):
    assert extract(schema, "{}", "{}", strict=False).status_code in (200, 400)


def test_many_conditions_upon_many_items_end_in_time(extract):
    schema = {"items": {"allOf": [{"type": "object"}] * 1_000}}

    assert extract(schema, [{}] * 2_000, strict=False).status_code in (200, 400, 422)


def test_an_object_too_deep_to_be_written_is_refused(extract):
    deep = '{"a":' * 300 + "1" + "}" * 300

    assert outcome(extract(None, deep, deep)) == (422, "refused")


def _nulls_of(definitions, **node):
    schema = {"type": "object", "properties": {"a": node}, "required": ["a"], "$defs": definitions}
    normalized = normalize({**schema, "additionalProperties": False})
    assert normalized.unresolved == []
    return OptionalNulls(normalized.schema, normalized.original)


OPTIONAL = {"type": "object", "properties": {"x": {"type": "string"}}}


def test_nulls_are_found_among_many_options_for_many_values_in_time():
    nulls = _nulls_of({}, type="array", items={"anyOf": [{"type": "string"}] * 1_900 + [OPTIONAL]})
    data = {"a": [1.5, {"x": None}] * 5_000}
    started = time.process_time()

    nulls.remove(data)

    assert time.process_time() - started < 1.0
    assert data == {"a": [1.5, {}] * 5_000}


def test_nulls_are_found_by_many_properties_of_many_values_in_time():
    many = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(4_000)}}
    nulls = _nulls_of({}, type="array", items=many)
    data = {"a": [{"p7": None} for _ in range(10_000)]}
    started = time.process_time()

    nulls.remove(data)

    assert time.process_time() - started < 0.6
    assert data == {"a": [{}] * 10_000}


def test_parts_that_double_with_the_depth_of_the_answer_end_in_time():
    array = {"type": "array", "items": {"$ref": "#/$defs/d"}}
    nulls = _nulls_of({"d": {**array, "anyOf": [array]}, "o": OPTIONAL}, **{"$ref": "#/$defs/d"})
    data = []
    for _ in range(60):
        data = [data]

    with at_most(2.0), pytest.raises(CheckTooCostly):
        nulls.remove({"a": data})
