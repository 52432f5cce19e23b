import json
import time

import pytest
from jsonschema_rs import Draft202012Validator

from app.json_schema.references import check_recursion
from app.offline_model.instances.instance import UnsatisfiableError, make_instance
from tests.fakes.tables import each_row

TEXT = "Please extract: Alice (alice@example.org) and Bob, 30, go to a science fair in New York on 2026-05-04."

OBJECT = {"type": "object", "additionalProperties": False}
NODE = {
    **OBJECT,
    "properties": {
        "value": {"type": "integer"},
        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
    },
    "required": ["value", "next"],
}
TREE = {
    **OBJECT,
    "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["name", "children"],
}

SATISFIABLE = {
    "anything": True,
    "empty": {},
    "types": {"type": ["null", "object", "array", "string", "integer", "number", "boolean"]},
    "object": {
        **OBJECT,
        "properties": {"a": {"type": "string"}, "b": {"type": "boolean"}},
        "required": ["a", "b"],
    },
    "object without properties": {"type": "object"},
    "object by its keywords": {"properties": {"a": {"type": "null"}}, "required": ["a"]},
    "required but not described": {"type": "object", "required": ["a"]},
    "optional that cannot be": {"type": "object", "properties": {"a": False, "b": {"type": "integer"}}},
    "map": {"type": "object", "additionalProperties": {"type": "integer"}},
    "property names": {"type": "object", "dependentRequired": {"a": ["b"]}, "properties": {"a": {}, "b": {}}},
    "array": {"type": "array", "items": {"type": "string"}},
    "array of many": {"type": "array", "items": {"const": 1}, "minItems": 20, "maxItems": 21},
    "array of none": {"type": "array", "items": {"type": "string"}, "maxItems": 0},
    "array of the impossible": {"type": "array", "items": False},
    "unique strings": {"type": "array", "items": {"type": "string"}, "minItems": 30, "uniqueItems": True},
    "unique enum": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": True},
    "unique numbers": {
        "type": "array",
        "items": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "minItems": 5,
        "uniqueItems": True,
    },
    "unique objects": {
        "type": "array",
        "items": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
        "minItems": 4,
        "uniqueItems": True,
    },
    "enum": {"enum": ["red", 4, None]},
    "const": {"const": {"deep": [1, {"a": None}]}},
    "typed enum": {"type": "string", "enum": [1, "two"]},
    "any of": {"anyOf": [False, {"type": "string", "minLength": 5, "maxLength": 2}, {"type": "integer"}]},
    "one of kinds": {
        "oneOf": [
            {"properties": {"kind": {"const": "a"}, "x": {"type": "integer"}}, "required": ["kind", "x"]},
            {"properties": {"kind": {"const": "b"}, "y": {"type": "string"}}, "required": ["kind", "y"]},
        ]
    },
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer", "minimum": 5}}, "required": ["a"]},
            {"properties": {"a": {"maximum": 6}, "b": {"type": "string"}}, "required": ["b"]},
        ]
    },
    "any of beside properties": {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "anyOf": [{"required": ["a"]}],
    },
    "reference": {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "integer", "minimum": 40}}},
    "reference with more": {"$ref": "#/$defs/n", "minimum": 7, "$defs": {"n": {"type": "integer"}}},
    "linked list": {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
    "tree": TREE,
    "nullable recursion": {
        "type": ["object", "null"],
        "properties": {"child": {"$ref": "#"}},
        "required": ["child"],
    },
    "expression": {
        "$ref": "#/$defs/e",
        "$defs": {
            "e": {
                "anyOf": [
                    {"properties": {"left": {"$ref": "#/$defs/e"}}, "required": ["left"], "type": "object"},
                    {"type": "number"},
                ]
            }
        },
    },
    "date": {"type": "string", "format": "date"},
    "several dates": {
        "type": "array",
        "items": {"type": "string", "format": "date"},
        "minItems": 40,
        "uniqueItems": True,
    },
    "date-time": {"type": "string", "format": "date-time"},
    "time": {"type": "string", "format": "time"},
    "duration": {"type": "string", "format": "duration"},
    "email": {"type": "string", "format": "email"},
    "hostname": {"type": "string", "format": "hostname"},
    "ipv4": {"type": "string", "format": "ipv4"},
    "ipv6": {"type": "string", "format": "ipv6"},
    "uuid": {"type": "string", "format": "uuid"},
    "uri": {"type": "string", "format": "uri"},
    "unknown format": {"type": "string", "format": "haiku"},
    "long string": {"type": "string", "minLength": 500},
    "short string": {"type": "string", "maxLength": 3},
    "exact string": {"type": "string", "minLength": 17, "maxLength": 17},
    "pattern of words": {"type": "string", "pattern": r"^[A-Z][a-z]+(?: [A-Z][a-z]+)?$"},
    "pattern of a code": {"type": "string", "pattern": "^[A-Z]{3}$"},
    "pattern of letters beyond ascii": {"type": "string", "pattern": r"^\p{L}+$"},
    "pattern of a path": {"type": "string", "pattern": r"^[\w.-]+\/\d{4}$"},
    "pattern of an id": {"type": "string", "pattern": r"^[cC][^\s-]{8,}$"},
    "pattern of a prefix": {"type": "string", "pattern": "^a\\/.*"},
    "pattern of an ulid": {"type": "string", "pattern": "^[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{26}$"},
    "pattern of a hardware address": {"type": "string", "pattern": "^(?:[0-9A-F]{2}:){5}[0-9A-F]{2}$"},
    "pattern with names": {"type": "string", "pattern": r"^(?<y>\d{4})-(?<m>\d\d)-w$"},
    "pattern of options": {"type": "string", "pattern": "^(?:north|south)-(?:east|west)$"},
    "pattern of emojis": {"type": "string", "pattern": r"^(\p{Extended_Pictographic}|\p{Emoji_Component})+$"},
    "pattern of rare letters": {"type": "string", "pattern": "^[ᚠ-ᚷ]{2}$"},
    "pattern without": {"type": "string", "pattern": "^[^a-zA-Z]$"},
    "pattern and a length": {"type": "string", "pattern": "^[a-f]+$", "minLength": 300, "maxLength": 600},
    "pattern, nested": {"type": "string", "pattern": "^((a*)*)*$", "minLength": 9},
    "unique matches": {
        "type": "array",
        "items": {"type": "string", "pattern": r"^[A-Z]{2}\d{3}$"},
        "minItems": 20,
        "uniqueItems": True,
    },
    "pattern somewhere": {"type": "string", "pattern": "@"},
    "integer range": {"type": "integer", "minimum": 100, "maximum": 105},
    "negative": {"type": "integer", "maximum": -3},
    "exclusive": {"type": "integer", "exclusiveMinimum": 4, "exclusiveMaximum": 6},
    "narrow number": {"type": "number", "exclusiveMinimum": 0.25, "exclusiveMaximum": 0.5},
    "multiple": {"type": "integer", "multipleOf": 7, "minimum": 50},
    "decimal multiple": {"type": "number", "multipleOf": 0.25, "minimum": 1.1, "maximum": 1.3},
    "whole multiple of a decimal": {"type": "integer", "multipleOf": 1.5, "minimum": 4},
    "large": {"type": "number", "minimum": 1e20},
}


@each_row("schema", SATISFIABLE.values(), ids=SATISFIABLE)
@each_row("text", [TEXT, ""], ids=["text", "no text"])
def test_instance_is_valid(schema, text):
    value = make_instance(schema, text)
    Draft202012Validator(schema, validate_formats=True).validate(json.loads(json.dumps(value)))
    assert value == make_instance(schema, text)


BILLION = {
    f"a{n}": {"type": "array", "prefixItems": [{"$ref": f"#/$defs/a{n + 1}"}] * 10, "minItems": 10}
    for n in range(9)
}

UNSATISFIABLE = {
    "never": False,
    "no schema": {"type": "potato"},
    "contradiction": {"type": "integer", "minimum": 5, "maximum": 4},
    "other types": {"allOf": [{"type": "string"}, {"type": "integer"}]},
    "endless recursion": {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    "reference to itself": {"$ref": "#"},
    "all of itself": {"allOf": [{"$ref": "#"}]},
    "not itself": {"not": {"$ref": "#"}},
    "if not itself": {"if": {"$ref": "#/not"}, "not": {"$ref": "#/if"}},
    "itself by an anchor": {"$anchor": "top", "not": {"$ref": "#top"}},
    "itself by a dynamic reference": {"not": {"$dynamicRef": "#"}},
    "itself by another name": {"not": {"$id": "http://localhost/", "not": {"$ref": "#"}}},
    "a long way round": {
        "$defs": {str(n): {"not": {"$ref": f"#/$defs/{n + 1}"}} for n in range(400)} | {"400": True},
        "not": {"$ref": "#/$defs/0"},
    },
    "nested too deeply": json.loads('{"not":' * 300 + "true" + "}" * 300),
    "dead ends by the million": {
        "$defs": {**{f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 10} for n in range(5)}, "a5": False},
        "$ref": "#/$defs/a0",
    },
    "reference to nowhere": {"$ref": "#/$defs/none"},
    "reference to another host": {"$ref": "http://127.0.0.1:9/schema.json"},
    "reference to no schema": {"$ref": "#/const", "const": 5},
    "required but forbidden": {"type": "object", "required": ["a"], "additionalProperties": False},
    "more than there are": {"type": "array", "items": {"enum": [1, 2]}, "minItems": 3, "uniqueItems": True},
    "a tuple": {"type": "array", "prefixItems": [{"type": "integer"}], "minItems": 1},
    "a pattern that is too short": {"type": "string", "pattern": r"^[A-Z]{2}\d{4}[A-Z]$", "minLength": 9},
    "a pattern of nothing": {"type": "string", "pattern": "a^b"},
    "a pattern that grows": {"type": "string", "pattern": f"^{'(' * 60}a+{')+' * 60}$", "maxLength": 0},
    "a huge string": {"type": "string", "minLength": 10**12},
    "a huge array": {"type": "array", "minItems": 10**12},
    "a huge object": {"type": "object", "minProperties": 10**12},
    "a billion parts": {"$ref": "#/$defs/a0", "$defs": {**BILLION, "a9": {"type": "integer"}}},
}


@each_row("schema", UNSATISFIABLE.values(), ids=UNSATISFIABLE)
def test_schema_that_cannot_be_filled_is_refused_soon(schema):
    started = time.process_time()
    with pytest.raises(UnsatisfiableError):
        make_instance(schema, TEXT)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("name", ["reference to itself", "all of itself", "not itself", "if not itself"])
def test_endless_reference_is_seen_before_the_validator_follows_it(name):
    with pytest.raises(UnsatisfiableError, match="without end"):
        check_recursion(UNSATISFIABLE[name])


def test_values_are_taken_from_the_users_text():
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "email": {"type": "string"},
            "age": {"type": "integer", "maximum": 120},
            "day": {"type": "string", "format": "date"},
            "kind": {"enum": ["market", "fair"]},
            "guests": {"type": "array", "items": {"type": "string"}},
            "summary": {"type": "string"},
        },
    }
    assert make_instance(schema, TEXT) == {
        "name": "Alice",
        "email": "alice@example.org",
        "age": 30,
        "day": "2026-05-04",
        "kind": "fair",
        "guests": ["Bob", "New York"],
        "summary": TEXT,
    }


@pytest.mark.parametrize(
    ("text", "description"), [("Seat AB1234C, please.", ""), ("A seat.", 'Of a seat, such as "AB1234C".')]
)
def test_a_string_for_a_pattern_is_taken_from_the_text_or_the_description(text, description):
    schema = {"type": "string", "pattern": r"^[A-Z]{2}\d{4}[A-Z]$", "description": description}

    assert make_instance(schema, text) == "AB1234C"


def test_a_pattern_that_nothing_fits_is_told():
    seat = {"pattern": "^seat-[0-9]{7}$", "maxLength": 9}
    schema = {"type": "object", "properties": {"seat": seat}, "required": ["seat"]}

    with pytest.raises(UnsatisfiableError, match=r'"seat" .*"pattern": \^seat-\[0-9\]\{7\}\$'):
        make_instance(schema, TEXT)


def test_a_pattern_that_is_not_checked_is_not_filled_either():
    assert make_instance({"type": "string", "pattern": r"^(?=.*\d)\w{40,}$"}, "") == "text"


def test_strings_for_a_page_without_text_are_named_after_their_fields():
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
    }
    assert make_instance(schema, "") == {"city": "city", "tags": ["tags", "1 tags"]}


def test_structured_reply_is_the_instance_alone(ask):
    response_format = {"type": "json_schema", "json_schema": {"name": "tree", "strict": True, "schema": TREE}}
    completion = ask("A tree called Yggdrasil", response_format=response_format)
    assert json.loads(completion.choices[0].message.content) == {"name": "Yggdrasil", "children": []}
    assert completion.model == "offline"


def test_parse_of_the_official_client_works(offline):
    from pydantic import BaseModel

    class Event(BaseModel):
        name: str
        day: str
        guests: list[str]

    messages = [{"role": "user", "content": TEXT}]
    parsed = offline.chat.completions.parse(model="m", messages=messages, response_format=Event)
    assert parsed.choices[0].message.parsed.name == "Alice"
