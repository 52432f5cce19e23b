from __future__ import annotations

import time

import pytest

from app.json_schema.normalize import normalize
from app.json_schema.strict_rules import InvalidSchema, find_problems
from tests.fakes.upstreams.strict_rules import accept

STRING, NULL = {"type": "string"}, {"type": "null"}


def of(**properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def test_an_optional_property_becomes_required_and_null_where_there_is_none():
    schema = {"type": "object", "properties": {"a": STRING, "b": {"type": ["integer", "null"]}}}

    normalized = normalize(schema)

    assert normalized.schema == of(a={"type": ["string", "null"]}, b={"type": ["integer", "null"]})
    assert normalized.changes == [
        'schema: got "additionalProperties": false.',
        "schema.properties.a: was made required and nullable; null means it is absent.",
        "schema.properties.b: was made required; null was allowed already.",
    ]
    assert normalized.original.optional == [(normalized.schema, frozenset({"a"}))]


# What stands for an optional property of each kind.
OR_NULL = {
    "enum": ({"enum": ["a", 1]}, {"enum": ["a", 1, None]}),
    "typed enum": ({"type": "string", "enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
    "const": ({"const": "a"}, {"anyOf": [{"const": "a"}, NULL]}),
    "typed const": ({"type": "string", "const": "a"}, {"anyOf": [{"type": "string", "const": "a"}, NULL]}),
    "$ref": ({"$ref": "#/$defs/d"}, {"anyOf": [{"$ref": "#/$defs/d"}, NULL]}),
    "anyOf": ({"anyOf": [STRING, {"type": "integer"}]}, {"anyOf": [STRING, {"type": "integer"}, NULL]}),
    "nullable enum": ({"enum": ["a", None]}, {"enum": ["a", None]}),
    "nullable const": ({"const": None}, {"const": None}),
    "nullable $ref": ({"$ref": "#/$defs/n"}, {"$ref": "#/$defs/n"}),
    "nullable anyOf": ({"anyOf": [STRING, NULL]}, {"anyOf": [STRING, NULL]}),
    "null in enum but not in type": (
        {"type": "string", "enum": ["a", None]},
        {"type": ["string", "null"], "enum": ["a", None]},
    ),
}


@pytest.mark.parametrize(("given", "mended"), OR_NULL.values(), ids=OR_NULL)
def test_each_kind_of_property_can_be_optional(given, mended):
    definitions = {"$defs": {"d": of(), "n": {"anyOf": [{"$ref": "#/$defs/d"}, NULL]}}}

    normalized = normalize({**of(a=given), "required": [], **definitions})

    assert normalized.schema["properties"]["a"] == mended
    assert bool(normalized.original.optional) is (given != mended)
    assert normalized.unresolved == []
    accept(normalized.schema)


def test_an_optional_property_may_be_null_already_or_refer_to_nothing():
    nothing = {"$ref": "#/$defs/none"}

    normalized = normalize({**of(a={"type": "string", "nullable": True}, b=nothing), "required": []})

    assert normalized.schema["properties"] == {"a": {"type": ["string", "null"]}, "b": {"anyOf": [nothing, NULL]}}
    assert normalized.changes[1:] == [
        "schema.properties.a: was made required; null was allowed already.",
        "schema.properties.b: was made required and nullable; null means it is absent.",
    ]
    assert normalized.unresolved == [
        'schema.properties.b.anyOf.0: "$ref" points to nothing: add what it names to "$defs".'
    ]


MENDED = {
    "annotations": (
        {"type": "string", "default": "x", "examples": [], "$comment": "c", "readOnly": True, "x-note": 1},
        STRING,
    ),
    "a keyword of another type": ({"type": "string", "minimum": 3, "maxItems": 1}, STRING),
    "a format of OpenAPI's": ({"type": "integer", "format": "int32"}, {"type": "integer"}),
    "a format that is not known": (
        {"type": "string", "format": "uri"},
        {**STRING, "description": "(format: uri)"},
    ),
    "limits": (
        {"type": "object", "properties": {}, "minProperties": 1, "maxProperties": 9, "description": "d"},
        {**of(), "description": "d (minProperties: 1) (maxProperties: 9)"},
    ),
    "unique items": (
        {"type": "array", "items": STRING, "uniqueItems": True},
        {"type": "array", "items": STRING, "description": "(uniqueItems: true)"},
    ),
    "words beside $ref": (
        {"$ref": "#", "description": "d", "default": None},
        {"anyOf": [{"$ref": "#"}], "description": "d"},
    ),
    "allOf of one": ({"allOf": [STRING], "title": "t"}, {"type": "string", "title": "t"}),
    "allOf of one $ref, as pydantic has it": (
        {"allOf": [{"$ref": "#"}], "description": "d"},
        {"anyOf": [{"$ref": "#"}], "description": "d"},
    ),
    "oneOf by type": ({"oneOf": [STRING, {"type": "integer"}]}, {"anyOf": [STRING, {"type": "integer"}]}),
    "oneOf by value": (
        {"oneOf": [{"const": 1}, {"enum": [True, "1"]}]},
        {"anyOf": [{"const": 1}, {"enum": [True, "1"]}]},
    ),
    "oneOf by a property": (
        {"oneOf": [of(k={"const": "a"}), of(k={"enum": ["b", "c"]})], "discriminator": {"propertyName": "k"}},
        {"anyOf": [of(k={"const": "a"}), of(k={"enum": ["b", "c"]})]},
    ),
    "lengths, which OpenAI takes": (
        {"type": "string", "minLength": 1, "maxLength": 9, "title": "t", "$id": "i", "id": "i"},
        {"type": "string", "minLength": 1, "maxLength": 9, "title": "t"},
    ),
    "nullable": ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
    "not nullable": ({"type": "string", "nullable": False}, STRING),
    "nullable enum": (
        {"type": "string", "enum": ["a"], "nullable": True},
        {"type": ["string", "null"], "enum": ["a", None]},
    ),
    "nullable $ref": (
        {"$ref": "#", "nullable": True, "description": "d"},
        {"anyOf": [{"$ref": "#"}, NULL], "description": "d"},
    ),
    "nullable oneOf": (
        {"oneOf": [STRING, {"type": "integer"}], "nullable": True},
        {"anyOf": [STRING, {"type": "integer"}, NULL]},
    ),
    "properties without a type": ({"properties": {"x": STRING}, "required": ["x"]}, of(x=STRING)),
    "items without a type": ({"items": STRING}, {"type": "array", "items": STRING}),
    "a pattern without a type": ({"pattern": "a"}, {"type": "string", "pattern": "a"}),
    "a minimum without a type": ({"minimum": 1}, {"type": "number", "minimum": 1}),
    "a type around options": (
        {"type": "string", "anyOf": [{"format": "date"}, {"pattern": "a"}]},
        {"type": "string", "anyOf": [{"type": "string", "format": "date"}, {"type": "string", "pattern": "a"}]},
    ),
    "an open object": ({**of(x=STRING), "additionalProperties": True}, of(x=STRING)),
    "an object open to anything": ({**of(x=STRING), "additionalProperties": {}}, of(x=STRING)),
    "an object closed in the newer way": (
        {"type": "object", "properties": {"x": STRING}, "required": ["x"], "unevaluatedProperties": False},
        of(x=STRING),
    ),
    "an object in a list": (
        {"type": "array", "items": {"type": "object", "properties": {}}},
        {"type": "array", "items": of()},
    ),
}


@pytest.mark.parametrize(("given", "mended"), MENDED.values(), ids=MENDED)
def test_what_has_one_meaning_is_mended_and_told(given, mended):
    normalized = normalize(of(a=given))

    assert normalized.schema == of(a=mended)
    assert normalized.unresolved == []
    assert normalized.changes
    assert all(sentence.startswith("schema.properties.a") for sentence in normalized.changes)
    accept(normalized.schema)


LEFT = {
    "additionalProperties": {"type": "object", "properties": {}, "additionalProperties": True},
    "a schema of additionalProperties": {"type": "object", "properties": {}, "additionalProperties": STRING},
    "an object of anything": {"type": "object"},
    "an array of anything": {"type": "array"},
    "anything": {},
    "true": True,
    "allOf of two": {"allOf": [STRING, {"minLength": 1}]},
    "allOf of one beside others": {"allOf": [STRING], "enum": ["a"]},
    "oneOf of integer and number": {"oneOf": [{"type": "integer"}, {"type": "number"}]},
    "oneOf with null in both": {"oneOf": [{"type": ["string", "null"]}, {"type": ["integer", "null"]}]},
    "oneOf of 1 and 1.0": {"oneOf": [{"const": 1}, {"const": 1.0}]},
    "oneOf of unknown values": {"oneOf": [{"const": []}, {"const": {}}]},
    "oneOf of objects that may leave the property out": {
        "oneOf": [{**of(k={"const": "a"}), "required": []}, of(k={"const": "b"})]
    },
    "oneOf beside anyOf": {"oneOf": [STRING, NULL], "anyOf": [STRING, NULL]},
    "not": {"type": "string", "not": {"const": "a"}},
    "patternProperties": {"type": "object", "properties": {}, "patternProperties": {}},
    "prefixItems": {"type": "array", "items": STRING, "prefixItems": [STRING]},
    "nullable in two options": {
        "oneOf": [{"type": "string", "nullable": True}, {"type": "integer", "nullable": True}]
    },
    "a nullable that says neither": {"type": "string", "nullable": "yes"},
    "a tuple of draft 7": {"type": "array", "items": [STRING]},
    "keywords of two types": {"minimum": 1, "pattern": "a"},
    "a misspelt keyword": {"type": "string", "minLenght": 1},
    "a limit without a type": {"anyOf": [STRING, NULL], "minLength": 1},
    "$ref to no property": {"anyOf": [{"$ref": "#/properties/none"}], "default": 1},
    "$ref to nothing": {"$ref": "#/$defs/none"},
    "$ref beside a type": {"$ref": "#", "type": "object"},
}


@pytest.mark.parametrize("given", LEFT.values(), ids=LEFT)
def test_what_has_no_one_meaning_stays_a_fault_with_its_path(given):
    faults = normalize(of(a=given, b=STRING)).unresolved

    assert faults
    assert faults[0].startswith("schema.properties.a")


@pytest.mark.parametrize(
    ("root", "mend"),
    [
        ({"type": "array", "items": STRING}, "make it one property of an object"),
        ({"anyOf": [of(), of(a=STRING)]}, "make it one property of an object"),
        ({"$ref": "#/$defs/none"}, "write out here what it points to"),
        ({"$ref": "#"}, "write out here what it points to"),
        ({"$ref": "#/$defs/d", "properties": {}, "$defs": {"d": of()}}, "write out here what it points to"),
        ({"enum": [{}]}, 'add "type": "object"'),
        ({"type": ["object", "null"], "properties": {}}, "make it one property of an object"),
    ],
)
def test_the_outermost_schema_is_not_mended_but_told_how_to(root, mend):
    faults = normalize(root).unresolved

    assert faults
    assert any(fault.startswith("schema: ") and mend in fault for fault in faults)


def test_an_outermost_reference_becomes_what_it_points_to():
    node = of(next={"anyOf": [{"$ref": "#/$defs/node"}, NULL]})
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}

    normalized = normalize(schema, exact=True)

    assert normalized.schema == {**node, "$defs": {"node": node}}
    assert normalized.unresolved == []
    accept(normalized.schema)


def test_what_a_reference_to_a_property_means_does_not_change_when_that_becomes_nullable():
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "object", "properties": {"x": STRING}},
            "b": {"type": "array", "items": {"$ref": "#/properties/a"}},
            "c": {"$ref": "#/properties/a/properties/x"},
        },
        "required": ["c"],
        "$defs": {"part1": STRING},
    }

    normalized = normalize(schema)

    x_or_null = {"type": ["string", "null"]}
    assert normalized.schema["properties"] == {
        "a": {**of(x=x_or_null), "type": ["object", "null"]},
        "b": {"type": ["array", "null"], "items": {"$ref": "#/$defs/part1_"}},
        "c": {"$ref": "#/$defs/part2"},
    }
    assert normalized.schema["$defs"] == {"part1": STRING, "part1_": of(x=x_or_null), "part2": STRING}
    assert normalized.unresolved == []
    accept(normalized.schema)


def test_exactly_means_that_no_object_is_closed_and_no_type_is_added():
    for open_ in ({"type": "object", "properties": {}}, {**of(x=STRING), "additionalProperties": True}):
        assert normalize(of(a=open_), exact=True).unresolved
    assert normalize(of(a={"pattern": "a"}), exact=True).unresolved == [
        'schema.properties.a: needs "type": "string".'
    ]


def test_equal_schemas_are_told_apart_where_only_one_is_optional():
    normalized = normalize({**of(a=of(x=STRING), b={**of(x=STRING), "required": []})})

    [(node, names)] = normalized.original.optional
    assert node is normalized.schema["properties"]["b"]
    assert names == {"x"}


def test_what_was_done_is_told_in_bounded_length():
    told = normalize({"type": "object", "properties": {f"p{n}" * 50: STRING for n in range(500)}}).changes

    assert len(told) == 21
    assert told[-1] == "And 481 more changes."
    assert max(map(len, told)) < 200


def test_references_that_multiply_are_followed_in_time():
    chain = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 60} for n in range(30)}
    normalize({"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": chain | {"d30": STRING}})
    circle = {"c": {"anyOf": [{"$ref": "#/$defs/c"}] * 60}}
    normalize({"type": "object", "properties": {"a": {"$ref": "#/$defs/c"}}, "$defs": circle})
    options = {"oneOf": [{"$ref": "#/$defs/d0"}] * 60}
    normalize({"type": "object", "properties": {"a": options}, "$defs": {"d0": {"$ref": "#/$defs/d0"}}})


# Beyond these faults the check does not look, so that it sees no limit exceeded.
FAULTY = {f"f{n}": {"type": "string", "allOf": [{"not": {}}]} for n in range(100)}
TOO_LARGE = "schema: is too large to be normalized: split it over several requests."


def unions(count, definitions):
    """So many properties that are each one of all the definitions."""
    options = [{"$ref": f"#/$defs/d{n}"} for n in range(len(definitions))]
    return {**of(**{f"u{n}": {"oneOf": options} for n in range(count)}), "$defs": definitions}


def enums(count, size):
    return {f"d{n}": {"enum": [f"{n}_{m}" for m in range(size)]} for n in range(count)}


def with_faults(schema):
    properties = FAULTY | schema["properties"]
    return {**schema, "properties": properties, "required": list(properties)}


# Made when they are needed: each is large.
COSTLY = {
    "enums of many unions": (lambda: with_faults(unions(100, enums(64, 400))), TOO_LARGE),
    "large enums of one union": (lambda: with_faults(unions(1, enums(64, 1_200))), TOO_LARGE),
    "many values": (lambda: with_faults(of(a={"oneOf": [{"enum": [1] * 8_000_000}, NULL]})), TOO_LARGE),
    "many required names": (
        lambda: with_faults(
            of(a={"oneOf": [{**of(k={"const": n}), "required": ["k"] * 8_000_000} for n in (1, 2)]})
        ),
        TOO_LARGE,
    ),
    "wide objects": (
        lambda: with_faults(
            of(
                a={
                    "oneOf": [
                        of(**{f"p{m}": {"enum": [1]} for m in range(1_000)}, k={"const": n}) for n in range(64)
                    ]
                }
            )
        ),
        TOO_LARGE,
    ),
    "many schemas": (lambda: with_faults(of(a={"anyOf": [{} for _ in range(1_000_000)]})), TOO_LARGE),
    "many options of which one may be null": (
        lambda: {**of(**FAULTY, a={"oneOf": [1] * 8_000_000}), "required": []},
        TOO_LARGE,
    ),
    "many keywords": (lambda: of(a={f"x-{n}": 1 for n in range(1_000_000)}), TOO_LARGE),
    "many types": (lambda: of(a={"type": ["null"] * 5_000_000}), TOO_LARGE),
    "escapes": (
        lambda: with_faults(of(a={"oneOf": [{"$ref": "#/$defs/" + "%41" * 9_000_000}, NULL]})),
        TOO_LARGE,
    ),
    "limit of schemas": (
        lambda: of(a={"anyOf": [{"$ref": "#"}] * 1_000_000}),
        "schema: has more than 20000 schemas in it: split it over several requests.",
    ),
    "limit of required names": (
        lambda: {**of(a=STRING), "required": ["a"] * 8_000_000},
        "schema: has more than 5000 properties: split it over several requests.",
    ),
    "limit of enum values": (
        lambda: unions(2, enums(64, 400)),
        "schema: has more than 1000 enum values: split it over several requests.",
    ),
}


LONG_TO_MAKE = {"many keywords", "many schemas", "wide objects"}


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        pytest.param(*case, id=name, marks=pytest.mark.thorough if name in LONG_TO_MAKE else ())
        for name, case in COSTLY.items()
    ],
)
def test_a_schema_that_would_take_long_is_given_up_in_time(made, fault):
    schema = made()
    started = time.process_time()

    faults = normalize(schema).unresolved

    assert time.process_time() - started < 0.6
    assert faults == [fault]


def test_many_unions_of_the_same_schemas_are_mended():
    objects = {f"d{n}": of(k={"const": n}, v={"enum": [1, 2]}) for n in range(64)}

    assert normalize(unions(12, enums(64, 15))).unresolved == []
    assert normalize(unions(12, objects)).unresolved == []


LARGE_ENUM = {"type": "string", "enum": [f"{n:03}" + "x" * 57 for n in range(251)]}
FAULTS = {
    "no type, but what is in an object": ({"properties": {}}, 'needs "type": "object"'),
    "no type, but a limit": ({"minLength": 1}, 'needs "type": "string"'),
    "a tuple": ({"type": "array", "items": [STRING]}, "use an object with one property for each"),
    "an object open to others": ({**of(x=STRING), "additionalProperties": True}, "false: set it"),
    "large enum": (LARGE_ENUM, "15000 characters: shorten"),
    "format": ({"type": "string", "format": "uri"}, 'say it in "description"'),
    "oneOf": ({"oneOf": [STRING]}, 'use "anyOf"'),
    "wrong type's": ({"type": "integer", "pattern": "a"}, "not supported for integer: leave it out"),
    "prefixItems": ({"type": "array", "items": STRING, "prefixItems": []}, "use an object"),
    "no type": ({"description": "d"}, "such as"),
    "open object": ({**of(), "additionalProperties": {}}, "array of objects with a name and a value"),
    "no properties": ({"type": "object", "additionalProperties": False}, "list each of them"),
    "ref with words": ({"$ref": "#", "description": "d"}, 'put it into "anyOf", beside "description"'),
}


@pytest.mark.parametrize(("node", "mend"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_with_the_way_to_mend_it(node, mend):
    [fault] = find_problems(of(a=node))

    assert fault.startswith("schema.properties.a: ")
    assert mend in fault


def test_several_faults_are_told_at_once_but_not_too_many():
    def told(*nodes):
        return str(InvalidSchema(find_problems(of(**{f"p{n}": node for n, node in enumerate(nodes)}))))

    odd = {"type": "string", "odd": 1}
    assert told(odd) == 'schema.properties.p0: "odd" is not supported: leave it out.'
    assert told(odd, odd).count("leave it out.") == 2
    assert told(odd, odd, odd, odd).endswith(
        'schema.properties.p2: "odd" is not supported: leave it out. And 1 more fault.'
    )
    assert told(*[odd] * 5).endswith("And 2 more faults.")
    assert told(*[odd] * 500).endswith("And many more faults.")


def test_names_in_a_path_are_printable_and_not_too_long():
    [fault] = find_problems(of(**{"a\n" * 500: {}}))

    assert fault.isprintable()
    assert len(fault) < 150
