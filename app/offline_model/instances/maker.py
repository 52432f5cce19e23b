"""Make a value for a JSON schema; the caller validates it.

Supports OpenAI's strict subset, and for tools' parameters optional properties, lengths and unique items. Other keywords
are ignored.

If no value is found for a part, the next option of an `anyOf` is tried, an array stays short, and an optional property
is left out. Recursion ends the same way: a `$ref` inside itself counts as unsatisfiable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, cast

import orjson

from app.json_schema.engine import compile_schema
from app.json_schema.mismatch import OWN_KEYWORDS
from app.json_schema.references import Schema, UnsatisfiableError, resolve
from app.offline_model.instances.candidates import Candidates
from app.offline_model.instances.hints import Hints
from app.offline_model.instances.join import join
from app.offline_model.instances.numbers import propose_numbers
from app.offline_model.instances.strings import propose_strings

MAX_DEPTH = 20
# Limits all attempts, in microseconds or less: a schema of a few lines can require millions of values.
MAX_WORK = 60_000
_WORK_PER_PART = 5
_WORK_PER_COMPILATION = 20
_WORK_PER_PATTERN_CHAR = 3
# Used instead of the id of an `enum`.
_STRINGS, _NUMBERS = 1, 2
# How many items of a list with unique items may be discarded as duplicates.
MAX_TRIES = 400
DEFAULT_ITEMS = 2
# Deeper arrays get one item, since nested arrays grow exponentially.
MAX_DEPTH_OF_MANY = 4


@dataclass(frozen=True)
class Place:
    """A location in the value: property name, item index, depth, and the `$ref`s it is inside of."""

    name: str = ""
    turn: int = 0
    depth: int = 0
    refs: tuple[str, ...] = ("#",)


class SchemaMaker:
    """Makes values for one schema, the same ones for the same text."""

    def __init__(self, root: Schema, hints: Hints) -> None:
        self._root = root
        self._hints = hints
        self._work_left = MAX_WORK
        self._candidates: dict[tuple[int, bytes], Candidates] = {}

    def make(self, schema: Schema, place: Place) -> Any:
        """Return a value. Raises UnsatisfiableError if none is found."""
        if place.depth > MAX_DEPTH:
            raise UnsatisfiableError("it asks for too much")
        if isinstance(schema, bool):
            schema = {} if schema else {"enum": []}
        self._spend(_WORK_PER_PART + len(schema))
        rest = dict(schema)
        if "$ref" in schema:
            ref = rest.pop("$ref")
            if ref in place.refs:
                raise UnsatisfiableError("it contains itself without end")
            return self.make(self._join(rest, resolve(self._root, ref)), replace(place, refs=(*place.refs, ref)))
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                options = sorted(rest.pop(keyword), key=lambda option: option == {"type": "null"})
                return self._make_first((self._join(rest, option) for option in options), place)
        if "allOf" in schema:
            return self.make(reduce(self._join, rest.pop("allOf"), cast(Schema, rest)), place)
        if "const" in schema or "enum" in schema:
            values = schema["enum"] if "enum" in schema else [schema["const"]]
            return self._choose(schema, lambda: self._hints.sort(values), place, of=id(values[0]) if values else 0)
        kinds = _list_kinds(schema)
        if len(kinds) > 1:
            return self._make_first(({**schema, "type": kind} for kind in kinds), place)
        return self._make_kind(kinds[0], schema, place)

    def _spend(self, work: int) -> None:
        self._work_left -= work
        if self._work_left < 0:
            raise UnsatisfiableError("it asks for too much")

    def _join(self, one: Schema, other: Schema) -> Schema:
        for schema in (one, other):
            if isinstance(schema, dict):
                self._spend(len(schema) + len(schema.get("properties", ())) + len(schema.get("required", ())))
        return join(one, other)

    def _make_first(self, schemas: Iterable[Schema], place: Place) -> Any:
        """Return a value for the first schema that has one."""
        failed = UnsatisfiableError("it has an empty choice")
        for schema in schemas:
            try:
                return self.make(schema, place)
            except UnsatisfiableError as error:
                failed = error
        raise failed

    def _choose(
        self, schema: dict[str, Any], propose: Callable[[], Iterable[Any]], place: Place, *, of: int | None = None
    ) -> Any:
        """Return a candidate that matches the schema's own keywords; a different one for each item of an array.

        Args:
            schema: if it has an `enum` or `const`, the candidates are taken from that.
            propose: returns the candidates.
            place: the location of the value.
            of: the id of the values that they are taken from; None if they are generated and vary.
        """
        own = {keyword: schema[keyword] for keyword in schema.keys() & (OWN_KEYWORDS - {"enum", "const"})}
        key = of or 0, orjson.dumps([own, schema.get("description")], option=orjson.OPT_SORT_KEYS)
        self._spend(1 + len(key[1]) // 500)
        if key not in self._candidates:
            pattern = schema.get("pattern", "")
            self._spend(_WORK_PER_COMPILATION + _WORK_PER_PATTERN_CHAR * len(pattern))
            self._candidates[key] = Candidates(
                compile_schema(own).is_valid, self._spend, has_pattern=bool(pattern)
            )
        candidates = self._candidates[key]
        if of is None or not candidates.are_proposed:
            candidates.propose(propose())
        try:
            return candidates.get(place.turn)
        except LookupError:
            wanted = f'"pattern": {schema["pattern"]}' if "pattern" in schema else "its bounds"
            raise UnsatisfiableError(
                f'no value for "{place.name}" was found that fits {wanted}; the text can hold one'
            ) from None

    def _make_kind(self, kind: str, schema: dict[str, Any], place: Place) -> Any:
        if kind == "object":
            return self._make_object(schema, place)
        if kind == "array":
            return self._make_array(schema, place)
        if kind == "string":
            strings = propose_strings(schema, place.name, place.turn, self._hints, self._spend)
            if "pattern" in schema:
                return self._choose(schema, lambda: strings, place, of=_STRINGS)
            # These already differ by item.
            return self._choose(schema, lambda: strings, replace(place, turn=0))
        values = {"boolean": (True, False), "null": (None,)}.get(kind)
        return self._choose(
            schema, lambda: values or propose_numbers(schema, kind, self._hints), place, of=_NUMBERS + len(kind)
        )

    def _make_object(self, schema: dict[str, Any], place: Place) -> dict[str, Any]:
        required, others = schema.get("required", []), schema.get("additionalProperties", True)
        made = {}
        for name, part in {**dict.fromkeys(required, others), **schema.get("properties", {})}.items():
            try:
                made[name] = self.make(part, replace(place, name=name, depth=place.depth + 1))
            except UnsatisfiableError:
                if name in required:
                    raise
        return made

    def _make_array(self, schema: dict[str, Any], place: Place) -> list[Any]:
        low, high = int(schema.get("minItems", 0)), int(schema.get("maxItems", DEFAULT_ITEMS))
        wanted = max(low, min(high, DEFAULT_ITEMS if place.depth < MAX_DEPTH_OF_MANY else 1))
        made: list[Any] = []
        known: set[bytes] = set()
        for turn in range(wanted + MAX_TRIES):
            if len(made) == wanted:
                break
            try:
                item = self.make(schema.get("items", True), replace(place, turn=turn, depth=place.depth + 1))
            except UnsatisfiableError:
                if len(made) < low:
                    raise
                break
            content = orjson.dumps(item) if schema.get("uniqueItems") else b""
            if not content or content not in known:
                known.add(content)
                made.append(item)
        return made


def _list_kinds(schema: dict[str, Any]) -> list[str]:
    """Return the types to try, null last; without `type`, the one that the other keywords imply."""
    if "type" in schema:
        kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        return sorted(kinds, key=lambda kind: kind == "null")
    if schema.keys() & {"properties", "required"}:
        return ["object"]
    return ["array" if "items" in schema else "string"]
