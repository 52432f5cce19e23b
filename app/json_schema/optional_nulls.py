"""Taking out of an answer the nulls that stand for what its caller's schema lets be left out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from app.json_schema.errors import CheckTooCostly, SchemaNotUsable
from app.json_schema.references import MAX_CHAIN, UnsatisfiableError, resolve
from app.json_schema.validator import BoundedValidator

_MAX_STEPS = 200_000  # some tenths of a second

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
    """A caller's own schema, where the one that is sent to the model is a stricter form of it.

    Attributes:
        schema: what the data shall fit.
        optional: objects of the sent schema, the very ones, each with the names whose null means that there is none.
    """

    schema: dict[str, Any]
    optional: list[tuple[dict[str, Any], frozenset[str]]]


class OptionalNulls:
    """The nulls of answers to one sent schema, which outlives this and does not change."""

    def __init__(self, sent: dict[str, Any], original: OriginalSchema) -> None:
        self._sent = sent
        # By identity, since equal schemas may differ in this.
        self._optional = {id(part): names for part, names in original.optional}
        self._targets: dict[int, dict[str, Any]] = {}
        self._possible: dict[tuple[int, type], list[dict[str, Any]]] = {}
        self._steps_left = _MAX_STEPS

    def remove(self, data: Any) -> None:
        """Change an answer of bounded depth in its place; one that fits the sent schema then fits the original.

        Raises:
            CheckTooCostly: finding them takes too long.
        """
        self._steps_left = _MAX_STEPS
        waiting = [(data, self._sent)] if self._optional else []
        while waiting:
            value, node = waiting.pop()
            # All of them before anything is taken out, which could keep the value from fitting.
            for part in list(self._iter_applicable(value, node, 0)):
                # Parts that apply to one value double with each level where two of them say what is in it.
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
        """Yield the schemas that a value fits: this one, what it refers to, and one of its options."""
        yield node
        if chain < MAX_CHAIN:
            if "$ref" in node:
                yield from self._iter_applicable(value, self._resolve_target(node), chain + 1)
            if "anyOf" in node:
                option = self._choose_option(value, node["anyOf"])
                if option is not None:
                    yield from self._iter_applicable(value, option, chain + 1)

    def _choose_option(self, value: Any, options: list[dict[str, Any]]) -> dict[str, Any] | None:
        possible = self._options_for(type(value), options)
        if len(possible) == 1:
            return possible[0]
        return next((option for option in possible if self._get_validator.allows(value, option)), None)

    @cached_property
    def _get_validator(self) -> BoundedValidator:
        """Made when it is needed, which is seldom and takes longer than all else here."""
        try:
            return BoundedValidator(self._sent)
        except SchemaNotUsable:  # mending has made it too large
            raise CheckTooCostly from None

    def _options_for(self, kind: type, options: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Found once for all values of a kind, as there can be thousands of either."""
        key = id(options), kind
        if key not in self._possible:
            self._possible[key] = [option for option in options if self._may_fit(kind, option)]
        return self._possible[key]

    def _may_fit(self, kind: type, option: dict[str, Any]) -> bool:
        """By its type alone, which settles most: a union with null above all."""
        for _ in range(MAX_CHAIN):
            if "$ref" not in option:
                break
            option = self._resolve_target(option)
        kinds = option.get("type", [])
        kinds = {kinds} if isinstance(kinds, str) else set(kinds)
        return not kinds or bool(kinds & _KINDS[kind])

    def _resolve_target(self, node: dict[str, Any]) -> dict[str, Any]:
        """Found once for each reference, which can be long."""
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
