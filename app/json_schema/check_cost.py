"""Counting what checking a value costs before it is checked, as a check cannot be stopped once it runs.

A schema can apply to one value many times: by two options of an `anyOf` that lead to the same place, once more at
each level of the value. The count goes through the value once. For each place in it there is a state, which holds
the schemas that apply there and how often; equal states are one object, so that an ordinary schema has few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from app.json_schema.errors import CheckTooCostly
from app.json_schema.references import schemas_of_same_value

_MAX_STEPS = 200_000  # some tenths of a second, for schemas that are made to have many states
_COST_A_CHAR = 300  # of a pattern's match at worst, where looking at one keyword is 1


class CheckCost:
    """Counts for one schema, which outlives this and does not change; 1 is about 5 nanoseconds."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._parts: dict[int, dict[str, Any]] = {}
        self._closures: dict[int, Counter[int]] = {}
        self._states: dict[frozenset[tuple[int, int]], _State] = {}
        self._steps_left = _MAX_STEPS

    def count(self, value: Any, part: dict[str, Any], limit: int) -> int:
        """Count what checking a value against a part of the schema costs at most.

        Raises:
            CheckTooCostly: it is more than the limit, or counting takes too long.
        """
        cost = 0
        waiting = [(value, self._state_of([(part, 1)]))]
        while waiting:
            value, state = waiting.pop()
            if not state.applied:
                continue
            cost += state.cost_of(value)
            if cost > limit:
                raise CheckTooCostly
            if isinstance(value, dict):
                waiting += [(member, self._next(state, name)) for name, member in value.items()]
                if self._next(state, None).applied:
                    waiting += [(name, self._next(state, None)) for name in value]
            elif isinstance(value, list):
                waiting += [(item, self._next(state, min(n, state.prefix))) for n, item in enumerate(value)]
        return cost

    def _next(self, state: _State, step: str | int | None) -> _State:
        if step not in state.next:
            state.next[step] = self._state_of(
                (inner, times)
                for key, times in state.applied.items()
                for inner in _members(self._parts[key], step)
            )
        return state.next[step]

    def _state_of(self, schemas: Iterable[tuple[Any, int]]) -> _State:
        applied: Counter[int] = Counter()
        for schema, times in schemas:
            if isinstance(schema, dict):
                for key, inner_times in self._closure(schema).items():
                    self._take_step()
                    applied[key] += times * inner_times
        content = frozenset(applied.items())
        if content not in self._states:
            self._states[content] = _State(applied, self._parts)
        return self._states[content]

    def _closure(self, part: dict[str, Any]) -> Counter[int]:
        """Return all schemas that apply to the value that this one applies to, and how often; by identity."""
        if id(part) not in self._closures:
            self._parts[id(part)] = part
            closure = Counter({id(part): 1})
            for inner in schemas_of_same_value(part, self._root):
                if isinstance(inner, dict):
                    for key, times in self._closure(inner).items():
                        self._take_step()
                        closure[key] += times
            self._closures[id(part)] = closure
        return self._closures[id(part)]

    def _take_step(self) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise CheckTooCostly


class _State:
    """The schemas that apply to a value, by identity, each with how often it does."""

    __slots__ = ("_cost", "_cost_a_char", "_times", "applied", "next", "prefix")

    def __init__(self, applied: Counter[int], parts: dict[int, dict[str, Any]]) -> None:
        self.applied = applied
        self.next: dict[str | int | None, _State] = {}
        self.prefix = max((len(parts[key].get("prefixItems", ())) for key in applied), default=0)
        self._times = applied.total()
        self._cost = sum(times * _cost_of_keywords(parts[key]) for key, times in applied.items())
        self._cost_a_char = sum(times * _COST_A_CHAR for key, times in applied.items() if "pattern" in parts[key])

    def cost_of(self, value: Any) -> int:
        """Count the work on one value, without that on its members."""
        if isinstance(value, str):
            return self._cost + self._cost_a_char * len(value)
        return self._cost + (self._times * len(value) if isinstance(value, dict | list) else 0)


def _cost_of_keywords(part: dict[str, Any]) -> int:
    return sum(1 + (len(value) // 8 if isinstance(value, dict | list) else 0) for value in part.values())


def _members(part: dict[str, Any], step: str | int | None) -> Iterator[Any]:
    """Yield the schemas for one member of a value: of an object, of a list, or of an object's names (None)."""
    if step is None:
        yield part.get("propertyNames")
    elif isinstance(step, str):
        yield part.get("properties", {}).get(step, part.get("additionalProperties"))
        yield part.get("unevaluatedProperties")
    else:
        prefix = part.get("prefixItems", ())
        yield prefix[step] if step < len(prefix) else part.get("items")
        yield part.get("contains")
        yield part.get("unevaluatedItems")
