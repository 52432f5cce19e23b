"""What the helpers of the official SDKs make of people's types is accepted as it is."""

from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import json
import uuid
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx2
import pytest
from openai.lib._parsing._completions import type_to_response_format_param
from openai.lib._pydantic import to_strict_json_schema
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, HttpUrl, create_model

from app.json_schema.errors import SchemaNotUsable
from app.json_schema.normalize import normalize
from app.json_schema.validator import BoundedValidator
from tests.fakes.openai_answers import completion
from tests.fakes.strict_rules import accept, answer_by_the_rules

ZOD = json.loads((Path(__file__).parent / "sdk_corpus" / "zod.json").read_text())


class Color(enum.Enum):
    """A color."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Inner(BaseModel):
    """A docstring."""

    x: str
    y: int | None = None


class Node(BaseModel):
    name: str
    children: list[Node]


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str] = Field(default_factory=list)


class WithExamples(BaseModel):
    model_config = ConfigDict(title="T", json_schema_extra={"examples": [{"x": "a"}], "x-note": 1})

    x: str


# What a helper makes of these is refused by OpenAI as well: no keys are known, or nothing is.
NOT_STRICT = {"dict", "any", "bare list", "bare dict", "fixed tuple", "open model"}
ZOD_NOT_STRICT = {"any", "unknown", "record", "tuple", "passthrough", "intersection"}


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")

    x: str


TYPES: dict[str, Any] = {
    "str": str,
    "default": (str, "x"),
    "default None": (str | None, None),
    "default of a list": (list[int], [1]),
    "default factory": (list[str], Field(default_factory=list)),
    "description": (str, Field(description="d")),
    "title": (str, Field(title="t")),
    "examples": (str, Field(examples=["a"])),
    "deprecated": (str, Field(deprecated=True)),
    "json_schema_extra": (str, Field(json_schema_extra={"readOnly": True, "$comment": "c", "x-order": 1})),
    "alias": (str, Field(alias="anAlias")),
    "lengths": (str, Field(min_length=1, max_length=9)),
    "pattern": (str, Field(pattern=r"^\w+$")),
    "look-ahead": (str, Field(json_schema_extra={"pattern": r"^(?!a)\p{L}+(?<name>\d)$"})),
    "int": int,
    "range": (int, Field(ge=1, le=5)),
    "open range": (float, Field(gt=0, lt=1)),
    "multiple": (int, Field(multiple_of=5)),
    "decimal": decimal.Decimal,
    "bool": bool,
    "literal": Literal["a", "b"],
    "mixed literal": Literal["a", 1, None],
    "enum": Color,
    "enum with a default": (Color, Color.RED),
    "described enum": (Color, Field(description="d")),
    "int enum": Level,
    "optional enum": (Color | None, None),
    "datetime": datetime.datetime,
    "date": datetime.date,
    "time": datetime.time,
    "timedelta": datetime.timedelta,
    "uuid": uuid.UUID,
    "url": HttpUrl,
    "any url": (AnyUrl | None, None),
    "ipv4": ipaddress.IPv4Address,
    "path": Path,
    "bytes": bytes,
    "list": list[str],
    "list lengths": (list[str], Field(min_length=1, max_length=3)),
    "constrained items": list[Annotated[str, Field(max_length=3)]],
    "list of lists": list[list[int]],
    "set": set[str],
    "frozenset": frozenset[int],
    "tuple of one kind": tuple[int, ...],
    "model": Inner,
    "described model": (Inner, Field(description="d")),
    "model with a default": (Inner, Inner(x="a")),
    "optional model": (Inner | None, None),
    "list of models": list[Inner],
    "shared model": (tuple[Inner, ...], Field(description="d")),
    "recursive": Node,
    "union": int | str,
    "union of models": Inner | Node,
    "discriminated union": (Cat | Dog, Field(discriminator="kind")),
    "list of a discriminated union": list[Annotated[Cat | Dog, Field(discriminator="kind")]],
    "examples of a model": WithExamples,
    "dict": dict[str, int],
    "any": Any,
    "bare list": list,
    "bare dict": dict,
    "fixed tuple": tuple[int, str],
    "open model": Open,
}


def make_model(name):
    kind = TYPES[name]
    return create_model("Answer", value=kind if isinstance(kind, tuple) else (kind, ...))


def check_exactly(schema):
    """The schema is taken as it is, and what is sent is strict and can be checked."""
    normalized = normalize(schema, exact=True)
    assert not normalized.unresolved, normalized.unresolved
    accept(normalized.schema)
    BoundedValidator(normalized.schema)
    BoundedValidator(normalized.original.schema if normalized.original else schema)


@pytest.mark.parametrize("name", TYPES)
def test_what_openai_python_makes_of_a_model_is_taken(name):
    schema = to_strict_json_schema(make_model(name))

    if name in NOT_STRICT:
        assert normalize(schema, exact=True).unresolved
    else:
        check_exactly(schema)


@pytest.mark.parametrize("name", ZOD)
def test_what_openai_node_makes_of_a_zod_type_is_taken(name):
    schema = ZOD[name]["json_schema"]["schema"]

    if name.partition(" ")[2] in ZOD_NOT_STRICT and name not in {"zod4 intersection"}:
        assert normalize(schema, exact=True).unresolved
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
