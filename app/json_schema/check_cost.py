"""Count the cost of validating a value before it starts, since a running validation cannot be stopped.

A subschema can apply to one value many times: if two options of an `anyOf` refer to it, its count doubles at each
level of the value. The count visits the value once. Each location in it has a state: the subschemas that apply there
and how often. Equal states are one object, so an ordinary schema has few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from app.json_schema.errors import CheckTooCostly
from app.json_schema.references import iter_in_place_subschemas

_MAX_STEPS = 200_000  # a few tenths of a second, for a schema designed to have many states
_COST_PER_CHAR = 300  # of the worst pattern; a keyword costs 1


class CheckCost:
    """Counts the cost of validating values against one schema, which must not change; 1 is about 5 ns."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._parts: dict[int, dict[str, Any]] = {}
        self._closures: dict[int, Counter[int]] = {}
        self._states: dict[frozenset[tuple[int, int]], _State] = {}
        self._steps_left = _MAX_STEPS

    def count(self, value: Any, part: dict[str, Any], limit: int) -> int:
        """Return an upper bound of the cost of validating a value against a subschema.

        Raises:
            CheckTooCostly: the cost is above the limit, or counting takes too long.
        """
        cost = 0
        waiting = [(value, self._get_state([(part, 1)]))]
        while waiting:
            value, state = waiting.pop()
            if not state.applied:
                continue
            cost += state.compute_cost(value)
            if cost > limit:
                raise CheckTooCostly
            if isinstance(value, dict):
                waiting += [(member, self._enter(state, name)) for name, member in value.items()]
                if self._enter(state, None).applied:
                    waiting += [(name, self._enter(state, None)) for name in value]
            elif isinstance(value, list):
                waiting += [(item, self._enter(state, min(n, state.prefix))) for n, item in enumerate(value)]
        return cost

    def _enter(self, state: _State, step: str | int | None) -> _State:
        if step not in state.next:
            state.next[step] = self._get_state(
                (inner, times)
                for key, times in state.applied.items()
                for inner in _iter_member_schemas(self._parts[key], step)
            )
        return state.next[step]

    def _get_state(self, schemas: Iterable[tuple[Any, int]]) -> _State:
        applied: Counter[int] = Counter()
        for schema, times in schemas:
            if isinstance(schema, dict):
                for key, inner_times in self._find_closure(schema).items():
                    self._take_step()
                    applied[key] += times * inner_times
        content = frozenset(applied.items())
        if content not in self._states:
            self._states[content] = _State(applied, self._parts)
        return self._states[content]

    def _find_closure(self, part: dict[str, Any]) -> Counter[int]:
        """Return the ids of all subschemas that apply to the same value as this one, with how often."""
        if id(part) not in self._closures:
            self._parts[id(part)] = part
            closure = Counter({id(part): 1})
            for inner in iter_in_place_subschemas(part, self._root):
                if isinstance(inner, dict):
                    for key, times in self._find_closure(inner).items():
                        self._take_step()
                        closure[key] += times
            self._closures[id(part)] = closure
        return self._closures[id(part)]

    def _take_step(self) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise CheckTooCostly


class _State:
    """The ids of the subschemas that apply to a value, with how often each applies."""

    __slots__ = ("_cost", "_cost_per_char", "_times", "applied", "next", "prefix")

    def __init__(self, applied: Counter[int], parts: dict[int, dict[str, Any]]) -> None:
        self.applied = applied
        self.next: dict[str | int | None, _State] = {}
        self.prefix = max((len(parts[key].get("prefixItems", ())) for key in applied), default=0)
        self._times = applied.total()
        self._cost = sum(times * _count_keywords(parts[key]) for key, times in applied.items())
        self._cost_per_char = sum(
            times * _COST_PER_CHAR for key, times in applied.items() if "pattern" in parts[key]
        )

    def compute_cost(self, value: Any) -> int:
        """Return the cost of one value without its members."""
        if isinstance(value, str):
            return self._cost + self._cost_per_char * len(value)
        return self._cost + (self._times * len(value) if isinstance(value, dict | list) else 0)


def _count_keywords(part: dict[str, Any]) -> int:
    return sum(1 + (len(value) // 8 if isinstance(value, dict | list) else 0) for value in part.values())


def _iter_member_schemas(part: dict[str, Any], step: str | int | None) -> Iterator[Any]:
    """Yield the subschemas for one member: by an object's name, a list's index, or None for the names themselves."""
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
