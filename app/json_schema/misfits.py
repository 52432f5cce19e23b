"""Saying where and why a value does not fit a JSON Schema, without listing every error.

The validator's own list has all errors of all options of each `anyOf`, which can be millions. Here the members of
the value are tried one by one, and only what does not fit by itself is described.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from app.json_schema.engine import compile_schema
from app.json_schema.errors import CheckTooCostly
from app.json_schema.references import Schema, resolve

_MAX_CHARS = 500
_MAX_PATH_CHARS = 200
OWN_KEYWORDS = {
    "type",
    "enum",
    "const",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "required",
    "dependentRequired",
}
"""Keywords that say something of a value without a schema for its members."""


def describe_misfit(value: Any, schema: dict[str, Any], allows: Callable[[Any, Schema], bool]) -> str:
    """Say what is wrong with a value that does not fit: the path to it, and a few words.

    Args:
        allows: whether a value fits a part of the schema; raises CheckTooCostly when that was asked too often.
    """
    path, part = "$", schema
    try:
        while (misfit := _find_misfit(value, part, schema, allows)) is not None:
            step, value, part = misfit
            path += step
        reason = _describe_itself(value, part)
    except CheckTooCostly:
        reason = "it does not fit"
    return f"at {path[:_MAX_PATH_CHARS]}: {reason}"[:_MAX_CHARS]


def _find_misfit(
    value: Any, part: dict[str, Any], root: dict[str, Any], allows: Callable[[Any, Schema], bool]
) -> tuple[str, Any, dict[str, Any]] | None:
    for step, member, inner in _inner_schemas(value, part, root):
        if isinstance(inner, dict) and not allows(member, inner):
            return step, member, inner
    return None


def _inner_schemas(value: Any, part: dict[str, Any], root: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield what must hold for the schema to: the step from the value to a member, the member, its schema."""
    if "$ref" in part:
        yield "", value, resolve(root, part["$ref"])
    yield from (("", value, inner) for inner in part.get("allOf", ()))
    options = [option for option in part.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        yield "", value, options[0]
    if isinstance(value, dict):
        properties, others = part.get("properties", {}), part.get("additionalProperties")
        yield from ((f".{name}", member, properties.get(name, others)) for name, member in value.items())
    if isinstance(value, list):
        prefix, others = part.get("prefixItems", []), part.get("items")
        inner = [*prefix[: len(value)], *[others] * (len(value) - len(prefix))]
        yield from ((f"[{n}]", item, inner[n]) for n, item in enumerate(value))


def _describe_itself(value: Any, part: dict[str, Any]) -> str:
    import jsonschema_rs

    alone = {keyword: wanted for keyword, wanted in part.items() if keyword in OWN_KEYWORDS}
    if part.get("additionalProperties") is False:
        alone |= {"properties": dict.fromkeys(part.get("properties", {}), True), "additionalProperties": False}
    try:
        compile_schema(alone).validate(value)
    except jsonschema_rs.ValidationError as error:
        return error.message
    return "it fits none of the schemas that are given for it" if "anyOf" in part else "it does not fit"
