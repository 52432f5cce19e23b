"""Suggest what to write instead of JSON Schema keywords that the strict subset lacks."""

from __future__ import annotations

ANNOTATIONS = {
    "$comment",
    "$schema",
    "default",
    "deprecated",
    "discriminator",  # OpenAPI's; pydantic writes it next to "oneOf"
    "example",
    "examples",
    "readOnly",
    "writeOnly",
}
"""Keywords that validate nothing."""

LIMITS: dict[str, set[str]] = {
    "minLength": {"string"},
    "maxLength": {"string"},
    "uniqueItems": {"array"},
    "minProperties": {"object"},
    "maxProperties": {"object"},
}
"""Keywords that only restrict values of these types, and can be described in words to the model."""

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
    **dict.fromkeys(ANNOTATIONS, _LEAVE_OUT),
    **dict.fromkeys(LIMITS, 'leave it out, or say it in "description"'),
}


def get_hint(keyword: str) -> str:
    """Return what to do about a keyword, as a phrase that follows a colon."""
    return _HINTS.get(keyword, _LEAVE_OUT)
