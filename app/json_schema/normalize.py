"""Rewrites a JSON schema into the strict subset where that does not change its meaning, and lists the changes.

Some changes are made to every schema, as they do not change which answers it allows. Others are made only if the caller
requests them: they forbid additional properties, and make the model write null for missing optional ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.json_schema.hints import LIMITS, infer_type, is_annotation
from app.json_schema.optional_nulls import OriginalSchema
from app.json_schema.references import MAX_CHAIN, UnsatisfiableError, resolve
from app.json_schema.strict_rules import BY_TYPE, FORMATS, StrictCheck, child_path, find_problems, read_types
from app.json_schema.value_sets import (
    BudgetExhausted,
    NullAcceptance,
    UnionDisjointness,
    WorkBudget,
    allow_null,
    resolve_openapi,
)

_MAX_CHANGES = 20
MAX_STEPS = 200_000  # many times the steps that any schema accepted by the validator needs
_STEPS_PER_SCHEMA = 10
_CHARS_PER_STEP = 32  # for references, which may be long
_TOO_LARGE = "schema: is too large to be normalized: split it over several requests."
_TO_A_DEFINITION = re.compile(r"#|#/(\$defs|definitions)/[^/]+")
_BESIDE_REF = {"$ref", "title", "description", "$defs", "definitions"}
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
        original: the schema to which answers are converted back; None if the given schema was strict already.
        unresolved: the reasons why the schema is still not strict, one sentence each.
        changes: the changes, one sentence each, limited in number.
    """

    schema: dict[str, Any]
    original: OriginalSchema | None = None
    unresolved: Sequence[str] = ()
    changes: Sequence[str] = ()


def normalize(schema: dict[str, Any], *, exact: bool = False, steps: WorkBudget | None = None) -> Normalized:
    """Rewrite a schema into the strict subset as far as its meaning allows. Does not change the given schema.

    Args:
        schema: the schema to rewrite.
        exact: whether to make only changes that do not change which answers the schema allows.
        steps: the budget of work, if several schemas share one.
    """
    check = StrictCheck(schema)
    problems = check.run()
    if not problems and not check.has_annotations:
        return Normalized(schema)
    if check.is_too_large:  # rewriting cannot help
        return Normalized(schema, unresolved=problems[-1:])
    rewriter = _Rewriter(schema, exact, steps or WorkBudget(MAX_STEPS))
    try:
        strict = rewriter.run()
    except BudgetExhausted:
        return Normalized(schema, unresolved=[_TOO_LARGE])
    changes = [f"{path}: {sentence}." for path, sentence in rewriter.changes[:_MAX_CHANGES]]
    if len(rewriter.changes) > _MAX_CHANGES:
        changes.append(f"And {len(rewriter.changes) - _MAX_CHANGES} more changes.")
    unresolved = [*rewriter.problems, *find_problems(strict)]
    original = None
    if problems:
        try:
            original = OriginalSchema(resolve_openapi(schema), rewriter.optional)
        except UnsatisfiableError as error:
            unresolved.append(f"schema: {error}.")
    return Normalized(strict, original, unresolved, changes)


@dataclass
class _Rewriter:
    """Rewrites one schema of bounded depth in a bounded number of steps."""

    root: dict[str, Any]
    exact: bool
    steps: WorkBudget
    optional: list[tuple[dict[str, Any], frozenset[str]]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    changes: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nulls = NullAcceptance(self.root, self.steps)
        self.unions = UnionDisjointness(self.root, self.steps)
        self.moved: dict[str, str] = {}

    def run(self) -> dict[str, Any]:
        """Return the rewritten root, with a definition for each target of a reference outside of the definitions."""
        strict: dict[str, Any] = self.rewrite("schema", self._inline_root())
        definitions: dict[str, Any] = {}
        while len(definitions) < len(self.moved):
            for reference, name in list(self.moved.items())[len(definitions) :]:
                path = "schema" + reference.removeprefix("#").replace("/", ".")[:200]
                definitions[name] = self.rewrite(path, resolve(self.root, reference))
        if definitions and isinstance(strict.get("$defs", {}), dict):
            strict["$defs"] = {**strict.get("$defs", {}), **definitions}
        return strict

    def add_change(self, path: str, sentence: str) -> None:
        self.changes.append((path, sentence))

    def _inline_root(self) -> dict[str, Any]:
        """Return the root, or its target if it is a reference, because the outermost schema must not be one."""
        node = self.root
        for _ in range(MAX_CHAIN):
            beside = [key for key in node if key not in _BESIDE_REF and not is_annotation(key)]
            if not isinstance(node.get("$ref"), str) or beside:
                break
            try:
                target = resolve(self.root, node["$ref"])
            except UnsatisfiableError:
                break
            if not isinstance(target, dict) or target is self.root:
                break
            self.steps.spend(len(target) + len(node))
            node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
            self.add_change("schema", '"$ref" was replaced by what it points to')
        return node

    def rewrite(self, path: str, given: Any) -> Any:
        """Return a rewritten copy of a schema and its subschemas. Other values are returned for the check to report."""
        self.steps.spend(1)
        if not isinstance(given, dict):
            return given
        node = self._merge_all_of(path, given)
        lists = [node[key] for key in ("type", "enum", "required") if isinstance(node.get(key), list)]
        self.steps.spend(_STEPS_PER_SCHEMA + sum(map(len, lists)))
        is_nullable = node.pop("nullable") if isinstance(node.get("nullable"), bool) else None
        if is_nullable is not None:
            self.add_change(
                path, '"nullable" became the type "null"' if is_nullable else '"nullable" was left out'
            )
        self._drop_annotations(path, node)
        if not self.exact and (kind := infer_type(node)):
            node = {"type": kind, **node}
            self.add_change(path, f'got "type": "{kind}"')
        self._describe_limits(path, node)
        options = node.get("oneOf")
        if isinstance(options, list) and options and "anyOf" not in node and self.unions.are_disjoint(options):
            node = {"anyOf" if key == "oneOf" else key: value for key, value in node.items()}
            self.add_change(path, '"oneOf" became "anyOf", as no value fits two of its schemas')
        if "items" in node:
            node["items"] = self.rewrite(child_path(path, "items"), node["items"])
        if isinstance(node.get("anyOf"), list):
            node["anyOf"] = [
                self.rewrite(child_path(path, "anyOf", number), self._pass_type_on(path, node, option))
                for number, option in enumerate(node["anyOf"])
            ]
        given_properties = node.get("properties")
        for key in ("$defs", "definitions", "properties"):
            if isinstance(node.get(key), dict):
                node[key] = {
                    name: self.rewrite(child_path(path, key, name), part) for name, part in node[key].items()
                }
        if not self.exact and "object" in read_types(node) and isinstance(given_properties, dict):
            self._close_object(path, node, given_properties)
        node = self._isolate_reference(path, node)
        return allow_null(node) if is_nullable else node

    def _pass_type_on(self, path: str, node: dict[str, Any], option: Any) -> Any:
        """Add the type of the surrounding schema to an option that has no type but keywords for that type."""
        if "type" not in node or not isinstance(option, dict):
            return option
        kind = infer_type(option)
        if kind is None or kind not in read_types(node):
            return option
        self.add_change(path, f'an option got "type": "{kind}"')
        return {"type": kind, **option}

    def _merge_all_of(self, path: str, given: dict[str, Any]) -> dict[str, Any]:
        """Return a copy in which an `allOf` of one schema is replaced by that schema, if no keywords conflict."""
        self.steps.spend(len(given))
        node = dict(given)
        while (
            isinstance(node.get("allOf"), list) and len(node["allOf"]) == 1 and isinstance(node["allOf"][0], dict)
        ):
            [only] = node["allOf"]
            self.steps.spend(_STEPS_PER_SCHEMA + len(node) + len(only))
            rest = {key: value for key, value in node.items() if key != "allOf"}
            if any(
                key not in _BESIDE_REF and not is_annotation(key) and only.get(key) != value
                for key, value in rest.items()
            ):
                break
            node = {**only, **rest}
            self.add_change(path, '"allOf" of one schema became that schema')
        return node

    def _drop_annotations(self, path: str, node: dict[str, Any]) -> None:
        types = {kind for kind in read_types(node) if isinstance(kind, str)}
        for keyword in list(node):
            if is_annotation(keyword):
                self.add_change(path, f'"{keyword[:64]}" was left out')
            elif types and keyword in _APPLIES_TO and not types & _APPLIES_TO[keyword]:
                self.add_change(path, f'"{keyword}" was left out, as it means nothing there')
            else:
                continue
            del node[keyword]

    def _describe_limits(self, path: str, node: dict[str, Any]) -> None:
        """Move limits that the strict subset lacks into the description. Answers are still checked against them."""
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
        """Forbid additional properties and require all properties. Null then means that an optional one is missing."""
        if node.get("unevaluatedProperties") is False:
            del node["unevaluatedProperties"]
            self.add_change(path, '"unevaluatedProperties" became "additionalProperties"')
        is_open = node["properties"] and node.get("additionalProperties") in (True, {})
        if "additionalProperties" not in node or is_open:
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
            node["properties"][name] = allow_null(node["properties"][name])
            self.add_change(inner_path, "was made required and nullable; null means it is absent")
        if nullable:
            self.optional.append((node, frozenset(nullable)))

    def _isolate_reference(self, path: str, node: dict[str, Any]) -> dict[str, Any]:
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        if reference.startswith("#/") and not _TO_A_DEFINITION.fullmatch(reference):
            # Other targets may become nullable as properties, which would change the meaning of this reference.
            node = {**node, "$ref": (reference := self._move_to_definitions(path, reference))}
        beside = node.keys() & {"title", "description"}
        if beside and node.keys() - beside == {"$ref"}:
            words = {key: value for key, value in node.items() if key != "$ref"}
            self.add_change(path, '"$ref" was put into "anyOf", as nothing may stand beside it')
            return {"anyOf": [{"$ref": reference}], **words}
        return node

    def _move_to_definitions(self, path: str, reference: str) -> str:
        """Return a reference to a new definition, which will be a copy of this reference's target."""
        if reference not in self.moved:
            self.steps.spend(_STEPS_PER_SCHEMA + len(reference) // _CHARS_PER_STEP)
            try:
                resolve(self.root, reference)
            except UnsatisfiableError as error:
                self.problems.append(f'{path}: {error}: add what it names to "$defs".')
                return reference
            name = f"part{len(self.moved) + 1}"
            taken = self.root.get("$defs", {})
            while isinstance(taken, dict) and name in taken:
                name += "_"
            self.moved[reference] = name
            self.add_change(path, 'what "$ref" points to became a definition')
        return f"#/$defs/{self.moved[reference]}"
