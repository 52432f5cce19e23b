"""What the schemas of one visitor leave the others of their worker: those that `make neighbours` sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from http.client import HTTPResponse
from typing import Any

import pytest

from tests.fakes.neighbour import Neighbour, neighbour
from tests.fakes.servers import exchange

pytestmark = pytest.mark.neighbours


@pytest.fixture(scope="module")
def near() -> Iterator[Neighbour]:
    with neighbour() as started:
        yield started


def an_object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def a_list_of(item: dict[str, Any]) -> dict[str, Any]:
    return an_object(a={"type": "array", "items": item})


def patterned(*patterns: str) -> dict[str, Any]:
    return an_object(
        **{f"p{number}": {"type": "string", "pattern": pattern} for number, pattern in enumerate(patterns)}
    )


def chained(count: int, keyword: str | None = None) -> dict[str, Any]:
    links: dict[str, Any] = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(count)}
    if keyword is not None:
        links = {name: {keyword: [link]} for name, link in links.items()}
    return {**an_object(a={"$ref": "#/$defs/d0"}), "$defs": {**links, f"d{count}": {"type": "string"}}}


def nested(levels: int) -> tuple[dict[str, Any], Any]:
    schema, value = an_object(text={"type": "string"}), {"text": ["x" * 30] * 1_000}
    for _ in range(levels):
        schema, value = an_object(a={"anyOf": [schema, an_object(b={"type": "null"})]}), {"a": value}
    return schema, value


def optional_beside(constant: int) -> dict[str, Any]:
    properties = {"k": {"const": constant}, "o": {"type": "string"}}
    return {"type": "object", "properties": properties, "required": ["k"]}


NEGATED = "[^\u0100-\u4000]"
FOLDED = "(?i:[^\u0400-\U0010fff0])"

# The schema, the answer of the model, and other fields.
HOSTILE_SCHEMAS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "large ranges": (patterned(*(f"{NEGATED * 90}{n}" for n in range(60))), {}, {}),
    "folded ranges": (patterned(*(f"{FOLDED * 50}{n}" for n in range(60))), {}, {}),
    "flags and ranges": (patterned(*(f"(?i){NEGATED * 90}{n}" for n in range(60))), {}, {}),
    "Unicode classes": (patterned(*(rf"\p{{L}}{{{n}}}" for n in range(60, 500))), {}, {}),
    "a pattern that needs much memory": (
        a_list_of({"type": "string", "pattern": "(a|b)*a(a|b){200}c"}),
        {"a": ["ab" * 100] * 150},
        {},
    ),
    "enum and items": (
        a_list_of({"type": "string", "enum": [f"v{n}" for n in range(1_000)]}),
        {"a": ["v999"] * 4_000},
        {},
    ),
    "enum of objects": (a_list_of({"enum": [{"k": n} for n in range(1_000)]}), {"a": [{"k": 999}] * 4_000}, {}),
    "large enum": (
        a_list_of({"enum": [{"k": n} for n in range(50_000)]}),
        {"a": [{"k": 49_999}] * 300},
        {"strict": False},
    ),
    "long constant list": (a_list_of({"const": [0] * 15_000}), {"a": [[0] * 15_000] * 10}, {"strict": False}),
    "long enum strings": (a_list_of({"enum": ["x" * 400_000] * 2}), {"a": ["x" * 400_000]}, {"strict": False}),
    "nested anyOf": (*nested(8), {}),
    "unique objects": (
        {"items": {"uniqueItems": True}},
        [[{"a": n} for n in range(10)]] * 4_000,
        {"strict": False},
    ),
    "unevaluated": (
        {
            "items": {
                "unevaluatedProperties": False,
                "anyOf": [{"properties": {f"k{n}": True}} for n in range(900)],
            }
        },
        [{f"k{n}": 1 for n in range(900)}] * 10,
        {"strict": False},
    ),
    "unexpected names": ({"additionalProperties": False}, {f"x{n}": n for n in range(50_000)}, {"strict": False}),
    "required names": (
        {"items": {"required": [f"k{n}" for n in range(15_000)]}},
        [{f"k{n}": 1 for n in range(30)}] * 500,
        {"strict": False},
    ),
    "many properties": (an_object(**{f"p{n}": {"type": "string"} for n in range(1_800)}), {"p0": 5}, {}),
    "too many properties": (
        {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(20_000)}},
        {},
        {"normalize": True},
    ),
    "too many options": (
        an_object(a={"oneOf": [{"type": "string", "minLength": n} for n in range(15_000)]}),
        {},
        {"normalize": True},
    ),
    "optional properties of options": (
        {
            "type": "object",
            "properties": {
                "a": {
                    "type": "array",
                    "items": {"anyOf": [optional_beside(n) for n in range(60)]},
                }
            },
        },
        {"a": [{"k": 59, "o": None}] * 3_000},
        {"normalize": True},
    ),
    "chain of references": (chained(900), {"a": "x"}, {}),
    "chain of options": (chained(900, "anyOf"), {"a": "x"}, {}),
    "chain of merged schemas": (chained(900, "allOf"), {"a": "x"}, {"normalize": True}),
    "long references": (
        {
            **an_object(**{f"p{n}": {"$ref": f"#/$defs/{'%61' * 900}"} for n in range(150)}),
            "$defs": {"a" * 900: {}},
        },
        {},
        {"strict": False},
    ),
    "long description": (an_object(a={"type": "string", "description": "x" * 900_000}), {"a": "x"}, {}),
    "unknown keywords": ({f"x-{n}": n for n in range(50_000)}, {}, {"strict": False}),
    "huge numbers": (a_list_of({"type": "number", "multipleOf": 1e-300}), '{"a": [%s]}' % ("9" * 5_000), {}),
}
_STATUSES = {200, 400, 422}


@pytest.mark.parametrize("name", HOSTILE_SCHEMAS)
@pytest.mark.parametrize("path", ["/api/structured", "/api/structured/stream"])
def test_a_schema_harms_nobody_else(near: Neighbour, path: str, name: str) -> None:
    assert_harmless(near, path, name)


def assert_harmless(near: Neighbour, path: str, name: str) -> None:
    schema, answer, fields = HOSTILE_SCHEMAS[name]
    body = json.dumps({"prompt": "x", "schema": schema, **fields}).encode()
    near.upstream.text = answer if isinstance(answer, str) else json.dumps(answer)
    if path.endswith("stream"):
        near.upstream.streams(near.upstream.text).release_all()
        near.upstream.streams(near.upstream.text).release_all()

    with near.watch(sent_bytes=len(body) + len(near.upstream.text)) as harm, ask(near, path, body) as response:
        response.read()

    assert response.status in _STATUSES
    harm.assert_bearable()


@pytest.fixture(scope="module")
def offline() -> Iterator[Neighbour]:
    with neighbour(OPENAI_BASE_URL="") as started:
        yield started


@pytest.mark.parametrize("name", ["enum of objects", "large enum", "long enum strings", "many properties"])
@pytest.mark.parametrize("path", ["/api/structured", "/api/chat"])
def test_a_schema_harms_nobody_else_without_a_key(offline: Neighbour, path: str, name: str) -> None:
    schema, _, fields = HOSTILE_SCHEMAS[name]
    text = "ab" * 5_000
    tool = {"type": "function", "function": {"name": "look_up", "parameters": schema}}
    request = {"message": f"look up {text}", "tools": [tool], "toolChoice": "required"}
    if path == "/api/structured":
        request = {"prompt": text, "schema": schema, **fields}
    body = json.dumps(request).encode()

    with offline.watch(sent_bytes=len(body)) as harm, ask(offline, path, body) as response:
        response.read()

    assert response.status in _STATUSES
    harm.assert_bearable()


def ask(near: Neighbour, path: str, body: bytes) -> AbstractContextManager[HTTPResponse]:
    return exchange(near.port, "POST", path, body, headers={"Content-Type": "application/json"})
