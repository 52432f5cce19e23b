"""What to write instead of a keyword of JSON Schema that the strict subset does not have."""

from __future__ import annotations

ANNOTATIONS = {
    "$comment",
    "$schema",
    "default",
    "deprecated",
    "discriminator",  # of OpenAPI, as pydantic writes it beside "oneOf"
    "example",
    "examples",
    "readOnly",
    "writeOnly",
}
"""Keywords that no value is checked against."""

LIMITS: dict[str, set[str]] = {
    "minLength": {"string"},
    "maxLength": {"string"},
    "uniqueItems": {"array"},
    "minProperties": {"object"},
    "maxProperties": {"object"},
}
"""Keywords that only say no to some values of these types, each of which can be told in words."""

_LEAVE_OUT = "leave it out"
_BY_NAME = "list the properties by name, or use an array of objects with a name and a value"
_CONDITION = 'leave it out and check it yourself, or write one schema for each case into "anyOf"'
_MENDS = {
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


def hint_for(keyword: str) -> str:
    """Words that follow a colon."""
    return _MENDS.get(keyword, _LEAVE_OUT)
