"""The JSON Schema keywords that the strict subset lacks: which validate nothing, and what to write instead of the others."""

from __future__ import annotations

from typing import Any

_ANNOTATIONS = {
    "$comment",
    "$id",  # not needed, as references are relative to the schema itself
    "$schema",
    "default",
    "deprecated",
    "discriminator",  # of OpenAPI; pydantic writes it next to "oneOf"
    "example",
    "examples",
    "externalDocs",
    "id",  # of draft 4, and of zod's metadata
    "readOnly",
    "writeOnly",
    "xml",
}

LIMITS: dict[str, set[str]] = {
    "contentEncoding": {"string"},
    "contentMediaType": {"string"},
    "uniqueItems": {"array"},
    "minProperties": {"object"},
    "maxProperties": {"object"},
}
"""Keywords that restrict only values of these types, and can be described to the model in words."""

# The type that a keyword applies to.
_IMPLIES = {
    **dict.fromkeys(("properties", "required", "additionalProperties"), "object"),
    **dict.fromkeys(("items", "minItems", "maxItems", "uniqueItems"), "array"),
    **dict.fromkeys(("pattern", "format", "minLength", "maxLength"), "string"),
    **dict.fromkeys(("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), "number"),
}
_SAYS_MORE_THAN_A_TYPE = {"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"}

_LEAVE_OUT = "leave it out"
_BY_NAME = "list the properties by name, or use an array of objects with a name and a value"
_CONDITION = 'leave it out and check it yourself, or write one schema for each case into "anyOf"'
_HINTS = {
    "oneOf": 'use "anyOf"',
    "allOf": "write its schemas as one",
    "not": "leave it out and check it yourself, or say what is allowed",
    **dict.fromkeys(("if", "then", "else", "dependentRequired", "dependentSchemas"), _CONDITION),
    **dict.fromkeys(("patternProperties", "propertyNames", "unevaluatedProperties"), _BY_NAME),
    "prefixItems": "use an object with one property for each",
    "nullable": 'add "null" to "type"',
    **dict.fromkeys(LIMITS, 'leave it out, or say it in "description"'),
}


def is_annotation(keyword: str) -> bool:
    """Return whether a keyword validates nothing. Such keywords are never a problem, and never sent."""
    return keyword in _ANNOTATIONS or keyword.startswith("x-")


def infer_type(node: dict[str, Any]) -> str | None:
    """Return the type of a schema without `type`, if all its other keywords apply to the same one."""
    if node.keys() & _SAYS_MORE_THAN_A_TYPE:
        return None
    kinds = {_IMPLIES[keyword] for keyword in _IMPLIES.keys() & node.keys()}
    return kinds.pop() if len(kinds) == 1 else None


def get_hint(keyword: str) -> str:
    """Return what to write instead of a keyword, as a phrase to follow a colon."""
    return _HINTS.get(keyword, _LEAVE_OUT)
