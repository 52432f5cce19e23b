"""Merge two schemas that both apply, as far as needed to make a value."""

from __future__ import annotations

from app.json_schema.references import Schema


def join(one: Schema, other: Schema) -> Schema:
    """Return one schema for both; if keywords conflict, the second schema's is used."""
    if isinstance(one, bool):
        return other if one else False
    if isinstance(other, bool):
        return one if other else False
    joined = {**one, **other}
    if "properties" in one and "properties" in other:
        ours, theirs = one["properties"], other["properties"]
        joined["properties"] = {
            name: join(ours.get(name, True), theirs.get(name, True)) for name in {**ours, **theirs}
        }
    if "required" in one and "required" in other:
        joined["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    return joined
