"""What the helpers of the official SDKs make of people's types, and why OpenAI itself refuses some of it."""

from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import json
import uuid
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AnyUrl, BaseModel, ConfigDict, Field, HttpUrl, create_model

ZOD = json.loads((Path(__file__).parent / "zod.json").read_text())


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


# Why OpenAI refuses as well what a helper makes of these: the first rule that it breaks, as tests/fakes/upstreams/strict_rules.py
# has it.
NOT_CLOSED = "'additionalProperties' is required to be supplied and false"
NO_TYPE = "schema must have a 'type' key"
NOT_STRICT = {
    "dict": NOT_CLOSED,
    "any": NO_TYPE,
    "bare list": NO_TYPE,
    "bare dict": NOT_CLOSED,
    "fixed tuple": "'prefixItems'} is not permitted",
    "open model": NOT_CLOSED,
}
# Of zod 4's records, tuples and open objects openai-node says so itself.
ZOD_NOT_STRICT = {
    "zod3 any": NO_TYPE,
    "zod3 unknown": NO_TYPE,
    "zod3 record": NOT_CLOSED,
    "zod3 tuple": "a schema must be an object",
    "zod3 passthrough": NOT_CLOSED,
    "zod3 intersection": "'allOf'} is not permitted",
    "zod4 any": NO_TYPE,
    "zod4 unknown": NO_TYPE,
}


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
