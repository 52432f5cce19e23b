"""Removes nulls from an answer if they stand for missing optional properties of the caller's schema."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from app.json_schema.errors import CheckTooCostly, SchemaNotUsable
from app.json_schema.references import MAX_CHAIN, UnsatisfiableError, resolve
from app.json_schema.validator import BoundedValidator, Check

_MAX_STEPS = 40_000  # 40 ms
_MAX_COST = 5_000_000  # 25 ms

_KINDS: dict[type, set[str]] = {
    dict: {"object"},
    list: {"array"},
    str: {"string"},
    bool: {"boolean"},
    int: {"integer", "number"},
    float: {"integer", "number"},
    type(None): {"null"},
}


class OriginalSchema(NamedTuple):
    """A caller's own schema, of which a stricter form is sent to the model.

    Attributes:
        schema: the schema that the final data must match.
        optional: object schemas of the sent schema, compared by identity, with the names of the properties whose null
            means "missing".
    """

    schema: dict[str, Any]
    optional: list[tuple[dict[str, Any], frozenset[str]]]

    def dump(self, sent: dict[str, Any]) -> dict[str, Any]:
        """Return this as JSON, in which parts of the sent schema are replaced by their indexes."""
        names_of = {id(part): sorted(names) for part, names in self.optional}
        indexed = [(index, names_of.get(id(part))) for index, part in enumerate(_walk(sent))]
        return {"schema": self.schema, "optional": [(index, names) for index, names in indexed if names]}

    @classmethod
    def load(cls, sent: dict[str, Any], dumped: dict[str, Any]) -> OriginalSchema:
        """Restore the result of dump(), for the same sent schema."""
        parts = list(_walk(sent))
        return cls(dumped["schema"], [(parts[index], frozenset(names)) for index, names in dumped["optional"]])


def _walk(schema: dict[str, Any]) -> Iterator[Any]:
    """Yield all parts of a schema, always in the same order."""
    waiting: list[Any] = [schema]
    while waiting:
        part = waiting.pop()
        yield part
        members = part.values() if isinstance(part, dict) else part
        waiting += [member for member in members if isinstance(member, dict | list)]


class OptionalNulls:
    """Removes added nulls from answers to one sent schema. The schema must not change."""

    def __init__(self, sent: dict[str, Any], original: OriginalSchema) -> None:
        self._sent = sent
        # By identity, since equal schemas may have different optional properties.
        self._optional = {id(part): names for part, names in original.optional}
        self._targets: dict[int, dict[str, Any]] = {}
        self._possible: dict[tuple[int, type], list[dict[str, Any]]] = {}
        self._steps_left = _MAX_STEPS

    def remove(self, data: Any) -> None:
        """Remove the nulls in place. An answer that matches the sent schema then matches the original.

        Args:
            data: an answer of bounded depth.

        Raises:
            CheckTooCostly: it would take too long.
        """
        self._steps_left = _MAX_STEPS
        waiting = [(data, self._sent)] if self._optional else []
        while waiting:
            value, node = waiting.pop()
            # Collect the schemas first: after a member is removed, the value may no longer match them.
            for part in list(self._iter_applicable(value, node, 0)):
                # The number of applicable subschemas can double at each level, hence the limit on steps.
                self._spend(1 + (len(value) if isinstance(value, list | dict) else 0))
                if isinstance(value, list) and isinstance(part.get("items"), dict):
                    waiting += [(item, part["items"]) for item in value]
                if isinstance(value, dict):
                    properties = part.get("properties") or {}
                    for name in [name for name in value if name in properties]:
                        if value[name] is None and name in self._optional.get(id(part), ()):
                            del value[name]
                        else:
                            waiting.append((value[name], properties[name]))

    def _iter_applicable(self, value: Any, node: dict[str, Any], chain: int) -> Iterator[dict[str, Any]]:
        """Yield the schemas that apply to a value: the node, its `$ref`, and the first matching option of its `anyOf`."""
        yield node
        if chain < MAX_CHAIN:
            if "$ref" in node:
                yield from self._iter_applicable(value, self._resolve_target(node), chain + 1)
            if "anyOf" in node:
                option = self._choose_option(value, node["anyOf"])
                if option is not None:
                    yield from self._iter_applicable(value, option, chain + 1)

    def _choose_option(self, value: Any, options: list[dict[str, Any]]) -> dict[str, Any] | None:
        possible = self._filter_options(type(value), options)
        if len(possible) == 1:
            return possible[0]
        return next((option for option in possible if self._check.allows(value, option)), None)

    @cached_property
    def _check(self) -> Check:
        """A check against the sent schema. It is compiled on first use, as that is slow and rarely needed."""
        try:
            return BoundedValidator(self._sent).begin_check(_MAX_COST)
        except SchemaNotUsable:  # the normalized schema is too large
            raise CheckTooCostly from None

    def _filter_options(self, kind: type, options: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the options that a value of this type may match, cached for each type."""
        key = id(options), kind
        if key not in self._possible:
            self._possible[key] = [option for option in options if self._may_fit(kind, option)]
        return self._possible[key]

    def _may_fit(self, kind: type, option: dict[str, Any]) -> bool:
        """Return whether a value of this type may match an option, judged by `type` alone."""
        for _ in range(MAX_CHAIN):
            if "$ref" not in option:
                break
            option = self._resolve_target(option)
        kinds = option.get("type", [])
        kinds = {kinds} if isinstance(kinds, str) else set(kinds)
        return not kinds or bool(kinds & _KINDS[kind])

    def _resolve_target(self, node: dict[str, Any]) -> dict[str, Any]:
        """Return the target of a schema's `$ref`, cached."""
        if id(node) not in self._targets:
            try:
                target = resolve(self._sent, node["$ref"])
            except UnsatisfiableError:
                target = {}
            self._targets[id(node)] = target if isinstance(target, dict) else {}
        return self._targets[id(node)]

    def _spend(self, steps: int) -> None:
        self._steps_left -= steps
        if self._steps_left < 0:
            raise CheckTooCostly
