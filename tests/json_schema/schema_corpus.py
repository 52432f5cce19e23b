"""Generated JSON schemas, and values that fit them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

STRICT, MENDABLE, WILD = 0, 1, 2
"""Kinds of schemas: strict ones, those that mostly can be mended, and those with anything that JSON Schema has."""

TEXTS = st.sampled_from(["", "a", "é b", "2020-01-01"])
NAMES = ["a", "b", "kind", "properties", "$ref", "é ~/"]
SCALARS = st.sampled_from([None, True, False, 0, 1, 2.5, "", "a", "b"])
TYPES = st.sampled_from(["string", "number", "integer", "boolean", "null"])
REFERENCES = ["#", "#/$defs/d0", "#/$defs/d1"]
BAD_REFERENCES = ["#/properties/a", "#/$defs/none", "x.json"]

WORDS: dict[str, Any] = {
    "title": TEXTS,
    "description": TEXTS,
    "default": SCALARS,
    "examples": st.just([]),
    "x-note": SCALARS,
    "minimum": st.just(0),
    "maxItems": st.just(2),
    "format": st.sampled_from(["date", "uri", "int32"]),
}
WILD_WORDS: dict[str, Any] = {
    **WORDS,
    "minLength": st.just(1),
    "uniqueItems": st.booleans(),
    "nullable": st.booleans(),
    "not": st.just({"const": 5}),
}


def _with_a_word(draw: st.DrawFn, node: Any, kind: int) -> Any:
    words = WILD_WORDS if kind == WILD else WORDS
    if kind != STRICT and isinstance(node, dict) and draw(st.booleans()):
        word = draw(st.sampled_from(sorted(words)))
        node.setdefault(word, draw(words[word]))
    return node


@st.composite
def nodes(draw: st.DrawFn, kind: int, depth: int = 0) -> Any:
    forms = ["type", "nullable", "enum", "const", "$ref"]
    if depth < 3:
        forms += ["object", "object", "array", "anyOf"]
        if kind != STRICT:
            forms += ["oneOf", "allOf"]
    if kind == WILD:
        forms += ["any"]
    inner = nodes(kind, depth + 1)
    match draw(st.sampled_from(forms)):
        case "type":
            node: Any = {"type": draw(TYPES)}
        case "nullable":
            node = {"type": [draw(TYPES), "null"]}
        case "enum":
            node = {"enum": draw(st.lists(SCALARS, min_size=1, max_size=3, unique_by=repr))}
        case "const":
            node = {"const": draw(SCALARS)}
        case "$ref":
            node = {"$ref": draw(st.sampled_from(REFERENCES + BAD_REFERENCES * (kind == WILD)))}
        case "object":
            node = draw(objects(kind, depth))
        case "array":
            node = {"type": "array", "items": draw(inner)}
        case "any":
            node = draw(st.sampled_from([True, {}, {"type": "object"}, {"type": "array"}, {"properties": {}}]))
        case "oneOf" if kind == MENDABLE:
            cases = [{"type": "string"}, {"type": ["integer", "null"]}, _case("a"), _case("b")]
            node = {"oneOf": draw(st.permutations(cases))[: draw(st.integers(1, 4))]}
        case "allOf" if kind == MENDABLE:
            node = {"allOf": [draw(inner)]}
        case several:
            node = {several: draw(st.lists(inner, min_size=1, max_size=3))}
    return _with_a_word(draw, node, kind)


def _case(name: str) -> dict[str, Any]:
    properties = {"kind": {"const": name}, "a": {"type": "integer"}, name + name: {"type": "string"}}
    return {"type": "object", "properties": properties, "required": ["kind"]}


@st.composite
def objects(draw: st.DrawFn, kind: int, depth: int = 0) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
    node: dict[str, Any] = {"type": "object", "properties": {name: draw(nodes(kind, depth + 1)) for name in names}}
    if kind == STRICT:
        return {**node, "required": names, "additionalProperties": False}
    if draw(st.booleans()):
        node["required"] = names[: draw(st.integers(0, 3))]
    if draw(st.booleans()):
        node["additionalProperties"] = draw(st.sampled_from([False, True, {}])) if kind == WILD else False
    return node


@st.composite
def schemas(draw: st.DrawFn, *kinds: int) -> dict[str, Any]:
    """Whole schemas of these kinds."""
    kind = draw(st.sampled_from(kinds))
    root = draw(objects(kind))
    root["$defs"] = {"d0": draw(objects(kind, 2)), "d1": draw(nodes(kind, 2))}
    return _with_a_word(draw, root, kind)


class Endless(Exception):
    """No value was found within the depth that is tried."""


@st.composite
def instances(draw: st.DrawFn, node: dict[str, Any], root: dict[str, Any], depth: int = 0) -> Any:
    """A value that fits a strict schema, if the keywords on each node are of one kind."""
    if depth > 6:
        raise Endless
    if "$ref" in node:
        target = root
        for step in node["$ref"].split("/")[1:]:
            target = target[step]
        return draw(instances(target, root, depth + 1))
    if "anyOf" in node:
        options = draw(st.permutations(node["anyOf"]))
        for option in options:
            try:
                return draw(instances(option, root, depth + 1))
            except Endless:
                continue
        raise Endless
    if "enum" in node or "const" in node:
        return draw(st.sampled_from(node.get("enum", [node.get("const")])))
    kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
    # The simplest last, for what refers to itself.
    kind = draw(st.sampled_from(kinds)) if depth < 4 else kinds[-1]
    if kind == "object":
        return {name: draw(instances(inner, root, depth + 1)) for name, inner in node["properties"].items()}
    if kind == "array":
        return draw(st.lists(instances(node["items"], root, depth + 1), max_size=2)) if depth < 4 else []
    simple = {
        "string": TEXTS,
        "number": st.sampled_from([0, 0.5, 2]),
        "integer": st.integers(0, 3),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return draw(simple[kind])
