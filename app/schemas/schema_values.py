"""What can be seen of the values that a JSON schema allows: whether null is one, and whether two schemas share any."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from app.schema_refs import MAX_CHAIN, UnsatisfiableError, resolve
from app.schemas.strict_schema import types_in

_MAX_OPTIONS = 64  # each is compared with each

_TYPE_OF = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
_Values = set[tuple[str, Any]]


def are_disjoint(options: Sequence[Any], root: dict[str, Any]) -> bool:
    """Whether that is certain of all of them: by their types, their values, or a property that tells them apart."""
    if len(options) > _MAX_OPTIONS:
        return False
    resolved = [_resolved(option, root) for option in options]
    return all(_differ(one, other, root) for one, other in combinations(resolved, 2))


class Nulls:
    """Whether null fits a schema, as far as that can be seen; keywords that the strict subset lacks do not count."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        # References can double at each step.
        self._known: dict[int, bool] = {}

    def allowed_by(self, node: Any, chain: int = 0) -> bool:
        if not isinstance(node, dict) or chain > MAX_CHAIN:
            return node is True
        if id(node) not in self._known:
            self._known[id(node)] = self._find(node, chain + 1)
        return self._known[id(node)]

    def _find(self, node: dict[str, Any], chain: int) -> bool:
        if ("type" in node and "null" not in types_in(node)) or ("const" in node and node["const"] is not None):
            return False
        if isinstance(node.get("enum"), list) and None not in node["enum"]:
            return False
        if isinstance(node.get("$ref"), str) and not self.allowed_by(_target(node, self._root), chain):
            return False
        for key, enough in (("anyOf", any), ("oneOf", any), ("allOf", all)):
            options = node.get(key)
            if isinstance(options, list) and not enough(self.allowed_by(option, chain) for option in options):
                return False
        return True


def _target(node: dict[str, Any], root: dict[str, Any]) -> Any:
    try:
        return resolve(root, node["$ref"])
    except UnsatisfiableError:
        return False


def _resolved(node: Any, root: dict[str, Any]) -> dict[str, Any]:
    for _ in range(MAX_CHAIN):
        if not isinstance(node, dict) or not isinstance(node.get("$ref"), str):
            break
        node = _target(node, root)
    return node if isinstance(node, dict) else {}


def _differ(one: dict[str, Any], other: dict[str, Any], root: dict[str, Any]) -> bool:
    types = _types(one), _types(other)
    if types[0] and types[1] and not types[0] & types[1]:
        return True
    values = _values(one), _values(other)
    if values[0] is not None and values[1] is not None:
        return not values[0] & values[1]
    return types == ({"object"}, {"object"}) and _differ_in_a_property(one, other, root)


def _differ_in_a_property(one: dict[str, Any], other: dict[str, Any], root: dict[str, Any]) -> bool:
    for name in _required(one) & _required(other):
        here, there = (_values(_resolved(part["properties"][name], root)) for part in (one, other))
        if here is not None and there is not None and not here & there:
            return True
    return False


def _required(node: dict[str, Any]) -> set[str]:
    properties, required = node.get("properties"), node.get("required")
    if not isinstance(properties, dict) or not isinstance(required, list):
        return set()
    return {name for name in required if isinstance(name, str) and name in properties}


def _types(node: dict[str, Any]) -> set[str]:
    """Those that `type` names, or those of the values; none where neither is known."""
    kinds = {kind for kind in types_in(node) if isinstance(kind, str)}
    kinds = kinds or {kind for kind, _ in _values(node) or ()}
    return {"number" if kind == "integer" else kind for kind in kinds}


def _values(node: dict[str, Any]) -> _Values | None:
    """Those that `const` or `enum` allow, so that 1 is 1.0 but not true; None where it is not known."""
    values = [node["const"]] if "const" in node else node.get("enum")
    if not isinstance(values, list) or any(isinstance(value, dict | list) for value in values):
        return None
    return {(_TYPE_OF[type(value)], value) for value in values}
