"""Putting two schemas that both hold into one, as far as making a value needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.json_schema.references import Schema

# Keywords that are worked off one at a time: a second one waits its turn under allOf.
ONE_AT_A_TIME = ("$ref", "anyOf", "oneOf")


def merge(first: Schema, second: Schema) -> Schema:
    """One schema for both; where two keywords cannot be joined, the second's stands."""
    if isinstance(first, bool):
        return second if first else False
    if isinstance(second, bool):
        return first if second else False
    merged = {**first, **second}
    for key in first.keys() & second.keys():
        if key in _JOINS:
            merged[key] = _JOINS[key](first[key], second[key])
    for key in ONE_AT_A_TIME:
        if key in first and key in second:
            merged[key] = first[key]
            merged["allOf"] = [*merged.get("allOf", []), {key: second[key]}]
    return merged


def _union(first: list[str], second: list[str]) -> list[str]:
    return list(dict.fromkeys([*first, *second]))


def _common_values(first: list[Any], second: list[Any]) -> list[Any]:
    return [value for value in first if value in second]


def _common_types(first: str | list[str], second: str | list[str]) -> list[str]:
    ours, theirs = ({kinds} if isinstance(kinds, str) else set(kinds) for kinds in (first, second))
    common = ours & theirs
    if "number" in ours | theirs and "integer" in ours | theirs and "number" not in common:
        common.add("integer")
    return sorted(common)


def _by_property(first: dict[str, Schema], second: dict[str, Schema]) -> dict[str, Schema]:
    return {name: merge(first.get(name, True), second.get(name, True)) for name in {**first, **second}}


_JOINS: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    **dict.fromkeys(("items", "additionalProperties"), merge),
    "allOf": lambda first, second: [*first, *second],
    "required": _union,
    "enum": _common_values,
    "type": _common_types,
    "properties": _by_property,
}
