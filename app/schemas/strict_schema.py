"""OpenAI's strict subset of JSON Schema, checked before anything is spent.

Source: https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
"""

from __future__ import annotations

from typing import Any

from app.schema_refs import UnsatisfiableError, resolve

MAX_LEVELS = 10
MAX_PROPERTIES = 5_000
MAX_ENUM_VALUES = 1_000
MAX_NAMES_CHARS = 120_000

_TYPES = {"string", "number", "boolean", "integer", "object", "array", "null"}
_ANYWHERE = {"type", "description", "title", "enum", "const", "anyOf", "$ref", "$defs", "definitions"}
_BY_TYPE = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"pattern", "format"},
    "number": {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
}
_BY_TYPE["integer"] = _BY_TYPE["number"]
# A list, as what is looked for in it may be of a kind that no set takes.
_FORMATS = ["date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"]


class SchemaFault(ValueError):
    """Where a schema leaves the subset, and why: one sentence that begins with the path."""


class _Totals:
    def __init__(self) -> None:
        self.properties = 0
        self.enum_values = 0
        self.chars = 0


def check_strict_schema(schema: dict[str, Any]) -> None:
    """Check a whole schema.

    Raises:
        SchemaFault: the first fault, such as `schema.properties.age: "default" is not supported.`
    """
    if schema.get("type") != "object" or "anyOf" in schema:
        raise SchemaFault('schema: the outermost schema must have "type": "object" and no "anyOf".')
    totals = _Totals()
    # (path, schema, level): a loop, since the caller chooses how deep it goes.
    waiting: list[tuple[str, Any, int]] = [("schema", schema, 1)]
    while waiting:
        path, node, level = waiting.pop()
        waiting += _check_node(path, node, level, totals, schema)
    if totals.properties > MAX_PROPERTIES:
        raise SchemaFault(f"schema: has more than {MAX_PROPERTIES} properties.")
    if totals.enum_values > MAX_ENUM_VALUES:
        raise SchemaFault(f"schema: has more than {MAX_ENUM_VALUES} enum values.")
    if totals.chars > MAX_NAMES_CHARS:
        raise SchemaFault(f"schema: its names and enum values have more than {MAX_NAMES_CHARS} characters.")


def _check_node(
    path: str, node: Any, level: int, totals: _Totals, root: dict[str, Any]
) -> list[tuple[str, Any, int]]:
    """Check one schema without those inside it, which are returned."""
    if not isinstance(node, dict):
        raise SchemaFault(f"{path}: must be an object.")
    if level > MAX_LEVELS:
        raise SchemaFault(f"{path}: is nested more than {MAX_LEVELS} levels deep.")
    types = _types_of(path, node)
    allowed = _ANYWHERE.union(*(_BY_TYPE.get(kind, set()) for kind in types))
    for keyword in node:
        if keyword not in allowed:
            raise SchemaFault(f'{path}: "{keyword[:64]}" is not supported{_for(types)}.')
    if not types and not node.keys() & {"enum", "const", "anyOf", "$ref"}:
        raise SchemaFault(f'{path}: needs a "type".')
    if "format" in node and node["format"] not in _FORMATS:
        raise SchemaFault(f'{path}: "format" must be one of {", ".join(_FORMATS)}.')
    _check_values(path, node, totals)
    _check_reference(path, node, root)
    inner: list[tuple[str, Any, int]] = []
    if "object" in types:
        inner += _check_object(path, node, level, totals)
    if "array" in types:
        if "items" not in node:
            raise SchemaFault(f'{path}: an array needs "items".')
        inner.append((f"{path}.items", node["items"], level + 1))
    if "anyOf" in node:
        if not isinstance(node["anyOf"], list) or not node["anyOf"]:
            raise SchemaFault(f'{path}: "anyOf" must be a list of schemas.')
        inner += [(f"{path}.anyOf.{index}", option, level) for index, option in enumerate(node["anyOf"])]
    for key in ("$defs", "definitions"):
        definitions = node.get(key, {})
        if not isinstance(definitions, dict):
            raise SchemaFault(f'{path}: "{key}" must be an object.')
        totals.chars += sum(map(len, definitions))
        inner += [(f"{path}.{key}.{name[:64]}", definition, 1) for name, definition in definitions.items()]
    return inner


def _types_of(path: str, node: dict[str, Any]) -> list[str]:
    kinds = node.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if not all(isinstance(kind, str) and kind in _TYPES for kind in kinds) or ("type" in node and not kinds):
        raise SchemaFault(f'{path}: "type" must be one of {", ".join(sorted(_TYPES))}, or a list of them.')
    return kinds


def _for(types: list[str]) -> str:
    return f" for {' or '.join(types)}" if types else ""


def _check_object(path: str, node: dict[str, Any], level: int, totals: _Totals) -> list[tuple[str, Any, int]]:
    properties, required = node.get("properties", {}), node.get("required", [])
    if not isinstance(properties, dict):
        raise SchemaFault(f'{path}: "properties" must be an object.')
    if node.get("additionalProperties") is not False:
        raise SchemaFault(f'{path}: needs "additionalProperties": false.')
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise SchemaFault(f'{path}: "required" must be a list of names.')
    named = set(required)
    for name in properties:
        if name not in named:
            raise SchemaFault(
                f'{path}.properties.{name[:64]}: must be in "required"; '
                "where it is optional, let its type be null as well."
            )
    for name in required:
        if name not in properties:
            raise SchemaFault(f'{path}: "required" names {name[:64]!a}, which is no property.')
    totals.properties += len(properties)
    totals.chars += sum(map(len, properties))
    return [(f"{path}.properties.{name[:64]}", inner, level + 1) for name, inner in properties.items()]


def _check_values(path: str, node: dict[str, Any], totals: _Totals) -> None:
    values = node.get("enum", [])
    if not isinstance(values, list) or ("enum" in node and not values):
        raise SchemaFault(f'{path}: "enum" must be a list with at least one value.')
    totals.enum_values += len(values)
    texts = [value for value in (*values, node.get("const")) if isinstance(value, str)]
    totals.chars += sum(map(len, texts))


def _check_reference(path: str, node: dict[str, Any], root: dict[str, Any]) -> None:
    reference = node.get("$ref")
    if reference is None:
        return
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise SchemaFault(f'{path}: "$ref" must point into this schema, as "#/$defs/name" does.')
    try:
        resolve(root, reference)
    except UnsatisfiableError:
        raise SchemaFault(f'{path}: "$ref" points to nothing.') from None
