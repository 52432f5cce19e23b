"""Infers whether a JSON schema allows null, adds null, and infers whether two schemas have no value in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from app.json_schema.references import MAX_CHAIN, UnsatisfiableError, copy_schema, iter_subschemas, resolve
from app.json_schema.strict_rules import read_types
from app.runtime.turns import Turns

_MAX_OPTIONS = 64  # all pairs are compared
_CHARS_PER_STEP = 32  # for references, which may be long

_TYPE_OF = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
_NULL = {"type": "null"}
_ANYTHING: dict[str, Any] = {}
_Values = set[tuple[str, Any]]


class BudgetExhausted(Exception):
    """Analyzing the schema would take too long."""


class WorkBudget:
    """Limits the steps of analyzing a schema, and lets other requests run between them.

    A step takes about a microsecond.
    """

    def __init__(self, steps: int) -> None:
        self._left = steps
        self._turns = Turns()

    def spend(self, count: int) -> None:
        """Spend steps. Raises BudgetExhausted if fewer are left."""
        self._turns.end_step()
        self._left -= count
        if self._left < 0:
            raise BudgetExhausted


class UnionDisjointness:
    """Decides whether the options of a union are disjoint. Results are cached, as many unions can share their options."""

    def __init__(self, root: dict[str, Any], steps: WorkBudget) -> None:
        self._steps = steps
        self._references = _References(root, steps)
        # By id: the keys are parts of the root, which stays alive.
        self._types: dict[int, set[str]] = {}
        self._values: dict[int, _Values | None] = {}
        self._discriminators: dict[int, dict[str, _Values]] = {}

    def are_disjoint(self, options: Sequence[Any]) -> bool:
        """Return whether no value matches two options, judged by types, constants and discriminator properties."""
        if len(options) > _MAX_OPTIONS:
            return False
        resolved = [self._references.follow(option) for option in options]
        return all(self._are_distinct(one, other) for one, other in combinations(resolved, 2))

    def _are_distinct(self, one: dict[str, Any], other: dict[str, Any]) -> bool:
        self._steps.spend(2)
        types = self._get_types(one), self._get_types(other)
        if types[0] and types[1] and not types[0] & types[1]:
            return True
        values = self._get_values(one), self._get_values(other)
        if values[0] is not None and values[1] is not None:
            return self._are_exclusive(values[0], values[1])
        return types == ({"object"}, {"object"}) and self._have_discriminator(one, other)

    def _have_discriminator(self, one: dict[str, Any], other: dict[str, Any]) -> bool:
        fewer, more = sorted((self._get_discriminators(one), self._get_discriminators(other)), key=len)
        self._steps.spend(len(fewer))
        return any(name in more and self._are_exclusive(values, more[name]) for name, values in fewer.items())

    def _are_exclusive(self, one: _Values, other: _Values) -> bool:
        self._steps.spend(1 + min(len(one), len(other)) // 8)
        return one.isdisjoint(other)

    def _get_types(self, node: dict[str, Any]) -> set[str]:
        """Return the types in `type`, or else those of the constants; empty if unknown."""
        if id(node) not in self._types:
            self._steps.spend(1 + len(read_types(node)))
            kinds = {kind for kind in read_types(node) if isinstance(kind, str)}
            kinds = kinds or {kind for kind, _ in self._get_values(node) or ()}
            if kinds and node.get("nullable") is True:
                kinds.add("null")
            self._types[id(node)] = {"number" if kind == "integer" else kind for kind in kinds}
        return self._types[id(node)]

    def _get_values(self, node: dict[str, Any]) -> _Values | None:
        """Return the values that `const` or `enum` allows; None if unknown. As in JSON Schema, 1 equals 1.0 but not true."""
        if id(node) not in self._values:
            self._values[id(node)] = self._find_values(node)
        return self._values[id(node)]

    def _find_values(self, node: dict[str, Any]) -> _Values | None:
        values = [node["const"]] if "const" in node else node.get("enum")
        if not isinstance(values, list):
            return None
        self._steps.spend(1 + len(values))
        if any(isinstance(value, dict | list) for value in values):
            return None
        found: _Values = {(_TYPE_OF[type(value)], value) for value in values}
        return found | {("null", None)} if node.get("nullable") is True else found

    def _get_discriminators(self, node: dict[str, Any]) -> dict[str, _Values]:
        """Return the known constants of each required property."""
        if id(node) not in self._discriminators:
            self._discriminators[id(node)] = dict(self._find_discriminators(node))
        return self._discriminators[id(node)]

    def _find_discriminators(self, node: dict[str, Any]) -> Iterator[tuple[str, _Values]]:
        properties, required = node.get("properties"), node.get("required")
        if not isinstance(properties, dict) or not isinstance(required, list):
            return
        self._steps.spend(len(required))
        for name in required:
            if isinstance(name, str) and name in properties:
                values = self._get_values(self._references.follow(properties[name]))
                if values is not None:
                    yield name, values


class NullAcceptance:
    """Decides whether a schema allows null, ignoring keywords that the strict subset lacks."""

    def __init__(self, root: dict[str, Any], steps: WorkBudget) -> None:
        self._steps = steps
        self._references = _References(root, steps)
        # Without a cache, the number of references to follow could double at each level.
        self._known: dict[int, bool] = {}

    def accepts_null(self, node: Any, chain: int = 0) -> bool:
        """Return whether a schema allows null. `chain` is the number of schemas that led to it."""
        if not isinstance(node, dict) or chain > MAX_CHAIN:
            return node is True
        if id(node) not in self._known:
            self._known[id(node)] = self._infer(node, chain + 1)
        return self._known[id(node)]

    def _infer(self, node: dict[str, Any], chain: int) -> bool:
        self._steps.spend(2)
        if node.get("nullable") is True:
            return True
        if ("type" in node and "null" not in read_types(node)) or ("const" in node and node["const"] is not None):
            return False
        if isinstance(node.get("enum"), list):
            self._steps.spend(len(node["enum"]) // 8)
            if None not in node["enum"]:
                return False
        if isinstance(node.get("$ref"), str) and not self.accepts_null(self._references.resolve(node), chain):
            return False
        for key, enough in (("anyOf", any), ("oneOf", any), ("allOf", all)):
            options = node.get(key)
            if not isinstance(options, list):
                continue
            self._steps.spend(len(options))
            if not enough(self.accepts_null(option, chain) for option in options):
                return False
        return True


class _References:
    """Resolves the references of a schema, and caches their targets."""

    def __init__(self, root: dict[str, Any], steps: WorkBudget) -> None:
        self._root = root
        self._steps = steps
        self._targets: dict[int, Any] = {}

    def resolve(self, node: dict[str, Any]) -> Any:
        self._steps.spend(1)
        if id(node) not in self._targets:
            self._steps.spend(2 + len(node["$ref"]) // _CHARS_PER_STEP)
            try:
                self._targets[id(node)] = resolve(self._root, node["$ref"])
            except UnsatisfiableError:
                self._targets[id(node)] = False
        return self._targets[id(node)]

    def follow(self, node: Any) -> dict[str, Any]:
        for _ in range(MAX_CHAIN):
            if not isinstance(node, dict) or not isinstance(node.get("$ref"), str):
                break
            node = self.resolve(node)
        return node if isinstance(node, dict) else _ANYTHING


def resolve_openapi(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with the type "null" instead of `nullable`, and without `$id` in its parts.

    The given schema is not changed. Its size must be bounded.

    Raises:
        UnsatisfiableError: the schema is nested too deeply.
    """
    if not any("nullable" in part or "$id" in part for part in iter_subschemas(schema)):
        return schema
    schema = copy_schema(schema)
    for part in list(iter_subschemas(schema)):
        part.pop("$id", None)
        if part.pop("nullable", False) is True:
            nullable = allow_null(dict(part))
            part.clear()
            part.update(nullable)
    return schema


def allow_null(node: Any) -> Any:
    """Return a schema that also allows null. The given schema may be changed."""
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
