"""Build JSON schemas concisely."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
ANY: Schema = {}
NULL: Schema = {"type": "null"}
DATE_TIME: Schema = {"type": "string", "format": "date-time"}


def closed(required: dict[str, Schema], **optional: Schema) -> Schema:
    """Return the schema of an object with these fields and no others."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def list_of(items: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def nullable(schema: Schema) -> Schema:
    """Return the schema of a value that may also be null."""
    return {"anyOf": [schema, NULL]}


def const(value: object) -> Schema:
    """Return the schema of exactly one value."""
    return {"const": value}


def one_of(*values: str) -> Schema:
    """Return the schema of an enumeration of texts."""
    return {"enum": list(values)}


def refer(name: str) -> Schema:
    """Return a reference to a named schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}
