"""Rewrite a JSON schema into the strict subset where that does not change its meaning, and list the changes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.json_schema.hints import ANNOTATIONS, LIMITS
from app.json_schema.optional_nulls import OriginalSchema
from app.json_schema.strict_rules import BY_TYPE, FORMATS, StrictCheck, child_path, find_problems, read_types
from app.json_schema.value_sets import BudgetExhausted, NullAcceptance, UnionDisjointness, WorkBudget

_MAX_CHANGES = 20
_MAX_STEPS = 200_000  # many times what any schema needs that the validator accepts
_STEPS_PER_SCHEMA = 10
_TOO_LARGE = "schema: is too large to be normalized: split it over several requests."
_TO_A_DEFINITION = re.compile(r"#|#/(\$defs|definitions)/[^/]+")
_NULL = {"type": "null"}
_APPLIES_TO = {
    **LIMITS,
    **{
        keyword: {kind for kind, keywords in BY_TYPE.items() if keyword in keywords}
        for keywords in BY_TYPE.values()
        for keyword in keywords
    },
}


@dataclass(frozen=True)
class Normalized:
    """The result of normalizing a schema.

    Attributes:
        schema: the schema to send.
        original: what answers are converted back to; None if the schema was strict already.
        problems: why the given schema is not strict, one sentence each.
        unresolved: the problems that normalizing could not fix.
        changes: what was changed, one sentence each, limited in number.
    """

    schema: dict[str, Any]
    original: OriginalSchema | None = None
    problems: Sequence[str] = ()
    unresolved: Sequence[str] = ()
    changes: Sequence[str] = ()


def normalize(schema: dict[str, Any]) -> Normalized:
    """Rewrite a schema into the strict subset as far as its meaning allows. Does not change the given schema."""
    check = StrictCheck(schema)
    problems = check.run()
    if not problems:
        return Normalized(schema)
    if check.is_too_large:  # no rewriting helps
        return Normalized(schema, problems=problems, unresolved=problems[-1:])
    rewriter = _Rewriter(schema)
    try:
        strict = rewriter.rewrite("schema", schema)
    except BudgetExhausted:
        return Normalized(schema, problems=problems, unresolved=[_TOO_LARGE])
    changes = [f"{path}: {sentence}." for path, sentence in rewriter.changes[:_MAX_CHANGES]]
    if len(rewriter.changes) > _MAX_CHANGES:
        changes.append(f"And {len(rewriter.changes) - _MAX_CHANGES} more changes.")
    unresolved = [*rewriter.problems, *find_problems(strict)]
    return Normalized(strict, OriginalSchema(schema, rewriter.optional), problems, unresolved, changes)


@dataclass
class _Rewriter:
    """Rewrites one schema of bounded depth in a bounded number of steps."""

    root: dict[str, Any]
    optional: list[tuple[dict[str, Any], frozenset[str]]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    changes: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.steps = WorkBudget(_MAX_STEPS)
        self.nulls = NullAcceptance(self.root, self.steps)
        self.unions = UnionDisjointness(self.root, self.steps)

    def add_change(self, path: str, sentence: str) -> None:
        self.changes.append((path, sentence))

    def rewrite(self, path: str, given: Any) -> Any:
        """Return a rewritten copy of a schema and its subschemas. Anything else is copied for the check to report."""
        self.steps.spend(1)
        if not isinstance(given, dict):
            return given
        node = self._merge_all_of(path, given)
        lists = [node[key] for key in ("type", "enum", "required") if isinstance(node.get(key), list)]
        self.steps.spend(_STEPS_PER_SCHEMA + sum(map(len, lists)))
        self._drop_annotations(path, node)
        self._describe_limits(path, node)
        options = node.get("oneOf")
        if isinstance(options, list) and options and "anyOf" not in node and self.unions.are_disjoint(options):
            node = {"anyOf" if key == "oneOf" else key: value for key, value in node.items()}
            self.add_change(path, '"oneOf" became "anyOf", as no value fits two of its schemas')
        if "items" in node:
            node["items"] = self.rewrite(child_path(path, "items"), node["items"])
        if isinstance(node.get("anyOf"), list):
            node["anyOf"] = [
                self.rewrite(child_path(path, "anyOf", number), option)
                for number, option in enumerate(node["anyOf"])
            ]
        given_properties = node.get("properties")
        for key in ("$defs", "definitions", "properties"):
            if isinstance(node.get(key), dict):
                node[key] = {
                    name: self.rewrite(child_path(path, key, name), part) for name, part in node[key].items()
                }
        if "object" in read_types(node) and isinstance(given_properties, dict):
            self._close_object(path, node, given_properties)
        return self._isolate_reference(path, node)

    def _merge_all_of(self, path: str, given: dict[str, Any]) -> dict[str, Any]:
        """Return a copy where an `allOf` of one schema becomes that schema, if no other keyword conflicts."""
        self.steps.spend(len(given))
        node = dict(given)
        while (
            isinstance(node.get("allOf"), list) and len(node["allOf"]) == 1 and isinstance(node["allOf"][0], dict)
        ):
            [only] = node["allOf"]
            self.steps.spend(_STEPS_PER_SCHEMA + len(node) + len(only))
            rest = {key: value for key, value in node.items() if key != "allOf"}
            words = ANNOTATIONS | {"title", "description", "$defs", "definitions"}
            if any(key not in words and only.get(key) != value for key, value in rest.items()):
                break
            node = {**only, **rest}
            self.add_change(path, '"allOf" of one schema became that schema')
        return node

    def _drop_annotations(self, path: str, node: dict[str, Any]) -> None:
        types = {kind for kind in read_types(node) if isinstance(kind, str)}
        for keyword in list(node):
            is_name = keyword == "$id" and path == "schema"
            if keyword in ANNOTATIONS or is_name or keyword.startswith("x-"):
                self.add_change(path, f'"{keyword[:64]}" was left out')
            elif types and keyword in _APPLIES_TO and not types & _APPLIES_TO[keyword]:
                self.add_change(path, f'"{keyword}" was left out, as it means nothing there')
            else:
                continue
            del node[keyword]

    def _describe_limits(self, path: str, node: dict[str, Any]) -> None:
        """Move limits that the strict subset lacks into the description; answers are still checked against them."""
        if not isinstance(node.get("description") or "", str):
            return
        limits = {keyword: node[keyword] for keyword in LIMITS if keyword in node and read_types(node)}
        if "string" in read_types(node) and isinstance(node.get("format"), str) and node["format"] not in FORMATS:
            limits["format"] = node["format"]
        for keyword, value in limits.items():
            if isinstance(value, int | str):
                del node[keyword]
                words = f"({keyword}: {str(value).lower() if isinstance(value, bool) else value})"
                node["description"] = f"{node.get('description') or ''} {words}".strip()
                self.add_change(path, f'"{keyword}" was moved into the description')

    def _close_object(self, path: str, node: dict[str, Any], given_properties: dict[str, Any]) -> None:
        """Forbid additional properties and require all properties; null then stands for a missing optional one."""
        if "additionalProperties" not in node:
            node["additionalProperties"] = False
            self.add_change(path, 'got "additionalProperties": false')
        required = node.get("required", [])
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            return
        named = set(required)
        missing = [name for name in node["properties"] if name not in named]
        if "required" not in node and not missing:
            self.add_change(path, 'got "required": []')
        node["required"] = [*required, *missing]
        nullable = []
        for name in missing:
            inner_path = child_path(path, "properties", name)
            if self.nulls.accepts_null(given_properties[name]):
                self.add_change(inner_path, "was made required; null was allowed already")
                continue
            nullable.append(name)
            node["properties"][name] = _allow_null(node["properties"][name])
            self.add_change(inner_path, "was made required and nullable; null means it is absent")
        if nullable:
            self.optional.append((node, frozenset(nullable)))

    def _isolate_reference(self, path: str, node: dict[str, Any]) -> dict[str, Any]:
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        if not _TO_A_DEFINITION.fullmatch(reference):
            # Other targets may be made nullable as properties, which this reference does not mean.
            self.problems.append(
                f'{path}: "$ref" must point to "#" or a definition: move what it names to "$defs".'
            )
        beside = node.keys() & {"title", "description"}
        if beside and node.keys() - beside == {"$ref"}:
            words = {key: value for key, value in node.items() if key != "$ref"}
            self.add_change(path, '"$ref" was put into "anyOf", as nothing may stand beside it')
            return {"anyOf": [{"$ref": reference}], **words}
        return node


def _allow_null(node: Any) -> Any:
    """Return a strict schema that also allows null; may change the given one."""
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("anyOf"), list) and not node.keys() & {"type", "enum", "const", "$ref"}:
        return {**node, "anyOf": [*node["anyOf"], _NULL]}
    if node.keys() & {"anyOf", "const", "$ref"} or not node.keys() & {"type", "enum"}:
        return {"anyOf": [node, _NULL]}
    if "type" in node and "null" not in read_types(node):
        node["type"] = [*read_types(node), "null"]
    if isinstance(node.get("enum"), list) and None not in node["enum"]:
        node["enum"] = [*node["enum"], None]
    return node
