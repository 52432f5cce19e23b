"""OpenAI's documented rules for strict schemas, as its API enforces them; written apart from what is tested.

Source: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2

from tests.fakes.upstreams.fake_openai import Sent

KEYWORDS = {"type", "title", "description", "enum", "const", "anyOf", "$ref", "$defs", "definitions"}
NUMBERS = {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
KEYWORDS_OF_TYPE = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"pattern", "format", "minLength", "maxLength"},
    "number": NUMBERS,
    "integer": NUMBERS,
}
TYPES = {"string", "number", "boolean", "integer", "object", "array", "null"}
STRING_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}


class Refused(Exception):
    """The API's answer would be 400."""


def must(holds: Any, why: str) -> None:
    if not holds:
        raise Refused(why)


def accept(schema: dict[str, Any]) -> None:
    """Raises Refused for a schema that the API would not take."""
    must(schema.get("type") == "object" and "anyOf" not in schema, "the root must be an object")
    nodes = list(_nodes(schema, schema, 1))
    properties = [name for node in nodes for name in node.get("properties", {})]
    definitions = [name for node in nodes for key in ("$defs", "definitions") for name in node.get(key, {})]
    values = [value for node in nodes for value in node.get("enum", [])]
    constants = [node["const"] for node in nodes if "const" in node]
    texts = [text for text in [*properties, *definitions, *values, *constants] if isinstance(text, str)]
    must(len(properties) <= 5_000, "too many properties")
    must(len(values) <= 1_000, "too many enum values")
    must(len("".join(texts)) <= 120_000, "too long names and values")


def _nodes(node: Any, root: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    must(isinstance(node, dict), "a schema must be an object")
    must(depth <= 10, "too deep")
    types = node.get("type", [])
    types = types if isinstance(types, list) else [types]
    known = KEYWORDS.union(*(KEYWORDS_OF_TYPE.get(kind, set()) for kind in types))
    must(not node.keys() - known, f"{node.keys() - known} is not permitted")
    yield node
    if "$ref" in node:
        must(not node.keys() - {"$ref", "$defs", "definitions"}, "$ref cannot have keywords")
        _follow(node["$ref"], root)
    else:
        must(node.keys() & {"type", "anyOf", "enum", "const"}, "schema must have a 'type' key")
    if "enum" in node:
        texts = [value for value in node["enum"] if isinstance(value, str)]
        must(node["enum"], "enum is empty")
        must(len(node["enum"]) <= 250 or len("".join(texts)) <= 15_000, "a large enum is too long")
    must(set(types) <= TYPES and ("type" not in node or types), "unknown type")
    if "object" in types:
        must(
            node.get("additionalProperties") is False,
            "'additionalProperties' is required to be supplied and false",
        )
        must(isinstance(node.get("properties"), dict), "object schema missing properties")
        must(isinstance(node.get("required"), list), "'required' is required to be supplied")
        must(
            sorted(node["required"]) == sorted(node["properties"]),
            "'required' must include every key in properties",
        )
        for inner in node["properties"].values():
            yield from _nodes(inner, root, depth + 1)
    if "array" in types:
        must("items" in node, "array schema missing items")
        yield from _nodes(node["items"], root, depth + 1)
    must("format" not in node or node["format"] in STRING_FORMATS, "unknown format")
    if "anyOf" in node:
        must(isinstance(node["anyOf"], list) and node["anyOf"], "anyOf is empty")
        for option in node["anyOf"]:
            yield from _nodes(option, root, depth)
    for key in ("$defs", "definitions"):
        for definition in node.get(key, {}).values():
            yield from _nodes(definition, root, 1)


def _follow(reference: Any, root: dict[str, Any]) -> None:
    must(isinstance(reference, str) and reference.startswith("#"), "only references into the schema")
    place: Any = root
    for step in reference[1:].split("/")[1:]:
        must(isinstance(place, dict) and step in place, "a reference leads nowhere")
        place = place[step]
    must(isinstance(place, dict), "a reference leads to no schema")


def answer_by_the_rules(sent: Sent, answer: httpx2.Response) -> httpx2.Response:
    """What the API says to a request: that the schema is not right, or else the given answer."""
    asked = sent.body["response_format"]["json_schema"]
    try:
        assert asked["strict"] is True
        accept(asked["schema"])
    except Refused as error:
        message = f"Invalid schema for response_format '{asked['name']}': {error}"
        body = {"message": message, "type": "invalid_request_error", "param": "response_format", "code": None}
        return httpx2.Response(400, content=json.dumps({"error": body}).encode())
    return answer
