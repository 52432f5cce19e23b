"""Computes the cost of validating a value before the validation starts, since a running validation cannot be stopped.

A subschema can apply to one value many times: if two options of an `anyOf` refer to it, the number doubles at each
level of the value. The value is visited once. Each location in it has a state: the subschemas that apply there, and how
often. Equal states share one object, so an ordinary schema has few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from app.json_schema.errors import CheckTooCostly
from app.json_schema.references import iter_in_place_subschemas

_MAX_STEPS = 60_000  # some 50 ms, for a schema designed to have many states
# In units of 5 ns. A keyword costs 1.
_COST_PER_VALUE = 200  # for the count itself
_COST_PER_CHAR = 500  # for the worst pattern
_COST_PER_COMPARED = 25  # for each value inside a list or an object of an `enum`, and each value compared with it
_COST_PER_CONVERTED = (
    400  # for each value inside a list or object that is compared as a whole, to convert it for the engine
)
_COST_PER_EVALUATED = 20  # for each member and each subschema that may have evaluated it
_CHARS_PER_CONVERTED = 200


class CheckCost:
    """Computes the cost of validating values against one schema, which must not change. A cost of 1 is about 5 ns."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._parts: dict[int, dict[str, Any]] = {}
        self._closures: dict[int, Counter[int]] = {}
        self._states: dict[frozenset[tuple[int, int]], _State] = {}
        self._steps_left = _MAX_STEPS

    def count(self, value: Any, part: dict[str, Any], limit: int) -> int:
        """Return an upper bound of the cost of validating a value against a subschema.

        Raises:
            CheckTooCostly: the cost is above the limit, or computing it takes too long.
        """
        cost = 0
        waiting = [(value, self._get_state([(part, 1)]))]
        while waiting:
            value, state = waiting.pop()
            if not state.applied:
                continue
            cost += state.compute_cost(value)
            if state.conversions and isinstance(value, dict | list):
                cost += state.conversions * count_conversion(value, (limit - cost) // state.conversions)
            if isinstance(value, dict | list):  # before the members are added below
                cost += _COST_PER_VALUE * len(value)
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
            self._states[content] = _State(applied, self._parts, self._closures)
        return self._states[content]

    def _find_closure(self, part: dict[str, Any]) -> Counter[int]:
        """Return the ids of all subschemas that apply to the same value as this one, and how often each applies."""
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
    """The ids of the subschemas that apply to a value, and how often each applies."""

    __slots__ = (
        "_cost",
        "_cost_of_comparing",
        "_cost_per_char",
        "_cost_per_member",
        "applied",
        "conversions",
        "next",
        "prefix",
    )

    def __init__(
        self, applied: Counter[int], parts: dict[int, dict[str, Any]], closures: dict[int, Counter[int]]
    ) -> None:
        self.applied = applied
        self.conversions = sum(times for key, times in applied.items() if _compares_whole(parts[key]))
        self.next: dict[str | int | None, _State] = {}
        self.prefix = max((len(parts[key].get("prefixItems", ())) for key in applied), default=0)
        self._cost_per_member = sum(
            times * (1 + (_COST_PER_EVALUATED * closures[key].total() if _is_unevaluated(parts[key]) else 0))
            for key, times in applied.items()
        )
        self._cost_of_comparing = sum(
            times * _COST_PER_COMPARED * _count_values(expected)
            for key, times in applied.items()
            for expected in (parts[key].get("enum"), parts[key].get("const"))
            if isinstance(expected, list | dict)
        )
        self._cost = sum(times * _count_keywords(parts[key]) for key, times in applied.items())
        self._cost_per_char = sum(
            times * _COST_PER_CHAR for key, times in applied.items() if "pattern" in parts[key]
        )

    def compute_cost(self, value: Any) -> int:
        """Return the cost of one value without its members."""
        if isinstance(value, str):
            return self._cost + self._cost_per_char * len(value)
        if isinstance(value, dict | list):
            return self._cost + self._cost_of_comparing + self._cost_per_member * len(value)
        return self._cost


def count_conversion(value: Any, limit: int) -> int:
    """Return the cost of converting a value for the engine.

    Raises:
        CheckTooCostly: the cost is above the limit.
    """
    cost, waiting = 0, [value]
    while waiting:
        value = waiting.pop()
        cost += _COST_PER_CONVERTED
        if isinstance(value, str):
            cost += len(value) * _COST_PER_CONVERTED // _CHARS_PER_CONVERTED
        elif isinstance(value, dict | list):
            cost += len(value) * _COST_PER_CONVERTED
            if cost > limit:
                raise CheckTooCostly
            waiting += value.values() if isinstance(value, dict) else value
            cost -= len(value) * _COST_PER_CONVERTED
    if cost > limit:
        raise CheckTooCostly
    return cost


def _compares_whole(part: dict[str, Any]) -> bool:
    """Return whether lists and objects are compared as a whole, for which the engine copies them."""
    expected = part.get("enum"), [part["const"]] if "const" in part else None
    return bool(part.get("uniqueItems")) or any(
        isinstance(value, dict | list) for values in expected if isinstance(values, list) for value in values
    )


def _is_unevaluated(part: dict[str, Any]) -> bool:
    return "unevaluatedProperties" in part or "unevaluatedItems" in part


def _count_values(value: Any) -> int:
    count, waiting = 0, [value]
    while waiting:
        value = waiting.pop()
        count += 1
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
    return count


def _count_keywords(part: dict[str, Any]) -> int:
    return sum(1 + (len(value) // 8 if isinstance(value, dict | list) else 0) for value in part.values())


def _iter_member_schemas(part: dict[str, Any], step: str | int | None) -> Iterator[Any]:
    """Yield the subschemas for one member, given as an object's name or a list's index; None is for the names."""
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
