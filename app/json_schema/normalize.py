"""Mending what keeps a JSON schema out of the strict subset, where there is one way to, and telling what was done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.json_schema.hints import ANNOTATIONS, LIMITS
from app.json_schema.optional_nulls import OriginalSchema
from app.json_schema.strict_rules import BY_TYPE, FORMATS, StrictCheck, child_path, faults_of, read_types
from app.json_schema.value_sets import BudgetExhausted, NullAcceptance, UnionDisjointness, WorkBudget

_MAX_TOLD = 20
_MAX_STEPS = 200_000  # many times what a schema takes that can be checked against
_STEPS_A_SCHEMA = 10
_TOO_LARGE = "schema: is too large to be mended here: split it over several requests."
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
    """What became of a schema.

    Attributes:
        schema: to be sent.
        original: what answers are brought back to; None where the schema was strict already.
        found: what kept the given one from being strict.
        faults: what does so still.
        told: what was done, a sentence each, and not too many.
    """

    schema: dict[str, Any]
    original: OriginalSchema | None = None
    found: Sequence[str] = ()
    faults: Sequence[str] = ()
    told: Sequence[str] = ()


def normalize(schema: dict[str, Any]) -> Normalized:
    """Bring a schema into the strict subset as far as its meaning allows; the given one stays as it is."""
    check = StrictCheck(schema)
    found = check.run()
    if not found:
        return Normalized(schema)
    if check.is_too_large:  # which no mend cures
        return Normalized(schema, found=found, faults=found[-1:])
    work = _Normalizing(schema)
    try:
        strict = work.rewrite("schema", schema)
    except BudgetExhausted:
        return Normalized(schema, found=found, faults=[_TOO_LARGE])
    told = [f"{path}: {sentence}." for path, sentence in work.told[:_MAX_TOLD]]
    if len(work.told) > _MAX_TOLD:
        told.append(f"And {len(work.told) - _MAX_TOLD} more of the kind.")
    return Normalized(
        strict, OriginalSchema(schema, work.optional), found, [*work.faults, *faults_of(strict)], told
    )


@dataclass
class _Normalizing:
    """One pass over a schema, whose nesting is bounded; its size is not, so that there is a bound on the steps."""

    root: dict[str, Any]
    optional: list[tuple[dict[str, Any], frozenset[str]]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.steps = WorkBudget(_MAX_STEPS)
        self.nulls = NullAcceptance(self.root, self.steps)
        self.distinctions = UnionDisjointness(self.root, self.steps)

    def add_note(self, path: str, sentence: str) -> None:
        self.told.append((path, sentence))

    def rewrite(self, path: str, given: Any) -> Any:
        """Copy a schema and those in it, mended; whatever else stands there is left to the check."""
        self.steps.spend(1)
        if not isinstance(given, dict):
            return given
        node = self._merge_all_of(path, given)
        lists = [node[key] for key in ("type", "enum", "required") if isinstance(node.get(key), list)]
        self.steps.spend(_STEPS_A_SCHEMA + sum(map(len, lists)))
        self._drop_annotations(path, node)
        self._describe_limits(path, node)
        options = node.get("oneOf")
        if (
            isinstance(options, list)
            and options
            and "anyOf" not in node
            and self.distinctions.are_disjoint(options)
        ):
            node = {"anyOf" if key == "oneOf" else key: value for key, value in node.items()}
            self.add_note(path, '"oneOf" became "anyOf", as no value fits two of its schemas')
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
            self._close(path, node, given_properties)
        return self._isolate_reference(path, node)

    def _merge_all_of(self, path: str, given: dict[str, Any]) -> dict[str, Any]:
        """Copy a schema whose `allOf` of one schema becomes that schema, where the rest says nothing else about values."""
        self.steps.spend(len(given))
        node = dict(given)
        while (
            isinstance(node.get("allOf"), list) and len(node["allOf"]) == 1 and isinstance(node["allOf"][0], dict)
        ):
            [only] = node["allOf"]
            self.steps.spend(_STEPS_A_SCHEMA + len(node) + len(only))
            rest = {key: value for key, value in node.items() if key != "allOf"}
            words = ANNOTATIONS | {"title", "description", "$defs", "definitions"}
            if any(key not in words and only.get(key) != value for key, value in rest.items()):
                break
            node = {**only, **rest}
            self.add_note(path, '"allOf" of one schema became that schema')
        return node

    def _drop_annotations(self, path: str, node: dict[str, Any]) -> None:
        types = {kind for kind in read_types(node) if isinstance(kind, str)}
        for keyword in list(node):
            is_name = keyword == "$id" and path == "schema"
            if keyword in ANNOTATIONS or is_name or keyword.startswith("x-"):
                self.add_note(path, f'"{keyword[:64]}" was left out')
            elif types and keyword in _APPLIES_TO and not types & _APPLIES_TO[keyword]:
                self.add_note(path, f'"{keyword}" was left out, as it means nothing there')
            else:
                continue
            del node[keyword]

    def _describe_limits(self, path: str, node: dict[str, Any]) -> None:
        """Put what the model's grammar does not know where the model reads it; the answer is checked against it."""
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
                self.add_note(path, f'"{keyword}" was moved into the description')

    def _close(self, path: str, node: dict[str, Any], given_properties: dict[str, Any]) -> None:
        """Have an object be of exactly its properties, null standing for what may be left out."""
        if "additionalProperties" not in node:
            node["additionalProperties"] = False
            self.add_note(path, 'got "additionalProperties": false')
        required = node.get("required", [])
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            return
        named = set(required)
        missing = [name for name in node["properties"] if name not in named]
        if "required" not in node and not missing:
            self.add_note(path, 'got "required": []')
        node["required"] = [*required, *missing]
        nulls_mean_nothing = []
        for name in missing:
            inner_path = child_path(path, "properties", name)
            if self.nulls.accepts_null(given_properties[name]):
                self.add_note(inner_path, "was made required; it may be null already")
                continue
            nulls_mean_nothing.append(name)
            node["properties"][name] = _allow_null(node["properties"][name])
            self.add_note(inner_path, "was made required, and null where there is none")
        if nulls_mean_nothing:
            self.optional.append((node, frozenset(nulls_mean_nothing)))

    def _isolate_reference(self, path: str, node: dict[str, Any]) -> dict[str, Any]:
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        if not _TO_A_DEFINITION.fullmatch(reference):
            # What is elsewhere may come to allow null, which is not meant here.
            self.faults.append(f'{path}: "$ref" must point to "#" or a definition: move what it names to "$defs".')
        beside = node.keys() & {"title", "description"}
        if beside and node.keys() - beside == {"$ref"}:
            words = {key: value for key, value in node.items() if key != "$ref"}
            self.add_note(path, '"$ref" was put into "anyOf", as nothing may stand beside it')
            return {"anyOf": [{"$ref": reference}], **words}
        return node


def _allow_null(node: Any) -> Any:
    """Return a strict schema that also allows null."""
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
