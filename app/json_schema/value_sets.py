"""What can be seen of the values that a JSON schema allows: whether null is one, and whether two schemas share any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from app.json_schema.references import MAX_CHAIN, UnsatisfiableError, resolve
from app.json_schema.strict_rules import read_types

_MAX_OPTIONS = 64  # each is compared with each
_CHARS_A_STEP = 32  # of a reference, which may be one long escape

_TYPE_OF = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
_ANYTHING: dict[str, Any] = {}
_Values = set[tuple[str, Any]]


class BudgetExhausted(Exception):
    """A stranger's schema would take too long."""


class WorkBudget:
    """What all looks at one schema may take together; a step is about a microsecond."""

    def __init__(self, most: int) -> None:
        self._left = most

    def spend(self, count: int) -> None:
        """Take so many steps; raises BudgetExhausted when there are fewer left."""
        self._left -= count
        if self._left < 0:
            raise BudgetExhausted


class UnionDisjointness:
    """What tells the schemas of a union apart; each is looked at once, as many unions can refer to the same ones."""

    def __init__(self, root: dict[str, Any], steps: WorkBudget) -> None:
        self._steps = steps
        self._references = _References(root, steps)
        # By identity: parts of the root, which outlives this.
        self._types: dict[int, set[str]] = {}
        self._values: dict[int, _Values | None] = {}
        self._telling: dict[int, dict[str, _Values]] = {}

    def are_disjoint(self, options: Sequence[Any]) -> bool:
        """Whether that is certain of all of them: by their types, their values, or a property that tells them apart."""
        if len(options) > _MAX_OPTIONS:
            return False
        resolved = [self._references.follow(option) for option in options]
        return all(self._differ(one, other) for one, other in combinations(resolved, 2))

    def _differ(self, one: dict[str, Any], other: dict[str, Any]) -> bool:
        self._steps.spend(2)
        types = self._types_of(one), self._types_of(other)
        if types[0] and types[1] and not types[0] & types[1]:
            return True
        values = self._values_of(one), self._values_of(other)
        if values[0] is not None and values[1] is not None:
            return self._are_exclusive(values[0], values[1])
        return types == ({"object"}, {"object"}) and self._differ_in_a_property(one, other)

    def _differ_in_a_property(self, one: dict[str, Any], other: dict[str, Any]) -> bool:
        fewer, more = sorted((self._discriminators_of(one), self._discriminators_of(other)), key=len)
        self._steps.spend(len(fewer))
        return any(name in more and self._are_exclusive(values, more[name]) for name, values in fewer.items())

    def _are_exclusive(self, one: _Values, other: _Values) -> bool:
        self._steps.spend(1 + min(len(one), len(other)) // 8)
        return one.isdisjoint(other)

    def _types_of(self, node: dict[str, Any]) -> set[str]:
        """Those that `type` names, or those of the values; none where neither is known."""
        if id(node) not in self._types:
            self._steps.spend(1 + len(read_types(node)))
            kinds = {kind for kind in read_types(node) if isinstance(kind, str)}
            kinds = kinds or {kind for kind, _ in self._values_of(node) or ()}
            self._types[id(node)] = {"number" if kind == "integer" else kind for kind in kinds}
        return self._types[id(node)]

    def _values_of(self, node: dict[str, Any]) -> _Values | None:
        """Those that `const` or `enum` allow, so that 1 is 1.0 but not true; None where it is not known."""
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
        return {(_TYPE_OF[type(value)], value) for value in values}

    def _discriminators_of(self, node: dict[str, Any]) -> dict[str, _Values]:
        """Return the values of the properties that are always there, where they are known."""
        if id(node) not in self._telling:
            self._telling[id(node)] = dict(self._find_discriminators(node))
        return self._telling[id(node)]

    def _find_discriminators(self, node: dict[str, Any]) -> Iterator[tuple[str, _Values]]:
        properties, required = node.get("properties"), node.get("required")
        if not isinstance(properties, dict) or not isinstance(required, list):
            return
        self._steps.spend(len(required))
        for name in required:
            if isinstance(name, str) and name in properties:
                values = self._values_of(self._references.follow(properties[name]))
                if values is not None:
                    yield name, values


class NullAcceptance:
    """Whether null fits a schema, as far as that can be seen; keywords that the strict subset lacks do not count."""

    def __init__(self, root: dict[str, Any], steps: WorkBudget) -> None:
        self._steps = steps
        self._references = _References(root, steps)
        # References can double at each step.
        self._known: dict[int, bool] = {}

    def accepts_null(self, node: Any, chain: int = 0) -> bool:
        """Say whether null fits a schema; `chain` counts the schemas that led to it."""
        if not isinstance(node, dict) or chain > MAX_CHAIN:
            return node is True
        if id(node) not in self._known:
            self._known[id(node)] = self._find(node, chain + 1)
        return self._known[id(node)]

    def _find(self, node: dict[str, Any], chain: int) -> bool:
        self._steps.spend(2)
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
    """Where a schema's references lead; each is resolved once."""

    def __init__(self, root: dict[str, Any], steps: WorkBudget) -> None:
        self._root = root
        self._steps = steps
        self._targets: dict[int, Any] = {}

    def resolve(self, node: dict[str, Any]) -> Any:
        self._steps.spend(1)
        if id(node) not in self._targets:
            self._steps.spend(2 + len(node["$ref"]) // _CHARS_A_STEP)
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
