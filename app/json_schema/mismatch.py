"""Describes the first mismatch between a value and a JSON Schema.

The validator would list all errors of all options of each `anyOf`, which can be millions. So this module descends to the
innermost member that does not match, and describes only that member.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from app.json_schema.engine import compile_schema
from app.json_schema.errors import CheckTooCostly
from app.json_schema.references import Schema, resolve
from app.runtime.turns import in_turns

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
"""Keywords that restrict a value without using a subschema."""


class CostlyCheck(Protocol):
    """Validates values within a total cost. Each call raises CheckTooCostly if the total is exceeded."""

    def allows(self, value: Any, part: Schema) -> bool:
        """Return whether a value matches a subschema."""

    def convert(self, value: Any) -> None:
        """Count the cost of converting a whole value for the engine."""


def describe_mismatch(value: Any, schema: dict[str, Any], check: CostlyCheck) -> str:
    """Return the path and the reason of the first mismatch.

    Args:
        value: a value of bounded depth that does not match the schema.
        schema: the schema.
        check: a check against this schema.
    """
    path, part = "$", schema
    try:
        while (mismatch := _find_mismatch(value, part, schema, check)) is not None:
            step, value, part = mismatch
            path += step
        reason = _describe_value(value, part, check)
    except CheckTooCostly:
        reason = "it does not fit"
    return f"at {path[:_MAX_PATH_CHARS]}: {reason}"[:_MAX_CHARS]


def _find_mismatch(
    value: Any, part: dict[str, Any], root: dict[str, Any], check: CostlyCheck
) -> tuple[str, Any, dict[str, Any]] | None:
    for step, member, inner in in_turns(_iter_member_schemas(value, part, root)):
        if isinstance(inner, dict) and not check.allows(member, inner):
            return step, member, inner
    return None


def _iter_member_schemas(value: Any, part: dict[str, Any], root: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield (path from the value to a member, member, subschema) for each subschema that must match."""
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


def _describe_value(value: Any, part: dict[str, Any], check: CostlyCheck) -> str:
    import jsonschema_rs

    alone = {keyword: expected for keyword, expected in part.items() if keyword in OWN_KEYWORDS}
    if part.get("additionalProperties") is False and isinstance(value, dict):
        # Only the first unexpected name: the engine would list all of them.
        unexpected = next((name for name in value if name not in part.get("properties", {})), None)
        if unexpected is not None:
            value, alone = {unexpected: None}, {"properties": {}, "additionalProperties": False}
    check.convert(alone)
    check.convert(value)
    try:
        compile_schema(alone).validate(value)
    except jsonschema_rs.ValidationError as error:
        return error.message
    return "it fits none of the schemas that are given for it" if "anyOf" in part else "it does not fit"
