"""A value for a JSON schema, made with words of the user's text.

Each part of a schema gives a stream of values, the likeliest first, and takes the streams of its own parts.
What cannot be filled gives an empty stream, and whoever holds it does without: the next branch of an anyOf,
an empty array, an optional property left out. So recursion ends too: a `$ref` met inside itself is empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain, count, islice
from typing import Any, cast

from app.json_schema.references import Schema, UnsatisfiableError, check_ends, resolve
from app.offline_model.hints import Hints
from app.offline_model.schema_merge import merge
from app.offline_model.schema_numbers import numbers_for
from app.offline_model.schema_strings import strings_for

__all__ = ["UnsatisfiableError", "instance_of"]

MAX_DEPTH = 20
# Values made on the way, dead ends among them; a schema of a few lines can ask for millions.
MAX_WORK = 10_000
# Candidates that may fail a check before a part counts as one that cannot be filled.
MAX_TRIES = 50
USUAL_ITEMS = 2
# Arrays within arrays grow by powers.
MANY_TO_DEPTH = 4

# What a schema without `type` speaks of.
KEYWORDS = {
    "object": {"properties", "required", "additionalProperties", "minProperties", "patternProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}

_NOTHING = object()


def instance_of(schema: Schema, text: str) -> Any:
    """Make a value that the schema takes, the same one each time.

    Args:
        schema: JSON Schema 2020-12, with `$ref` only into itself.
        text: the user's, for names, numbers and words.
    Raises:
        UnsatisfiableError: the schema is none, or no value was found.
    """
    # Imported here: they are slow to import, and most requests hold no schema.
    from jsonschema import Draft202012Validator, SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        check_ends(schema)
        Draft202012Validator.check_schema(schema)
        # An empty registry, since the usual one fetches a $ref to another host.
        validator = Draft202012Validator(
            schema, registry=Registry(), format_checker=Draft202012Validator.FORMAT_CHECKER
        )
        maker = _Maker(schema, Hints(text), lambda part, value: validator.evolve(schema=part).is_valid(value))
        value = next(maker.values(schema, _Place()), _NOTHING)
    except SchemaError as error:
        raise UnsatisfiableError(f"it is not valid JSON Schema at '{error.json_path}'") from error
    except Unresolvable as error:
        raise UnsatisfiableError("it has a $ref that leads nowhere") from error
    except (re.error, ArithmeticError) as error:
        raise UnsatisfiableError("it has a pattern or a number that is not understood here") from error
    except RecursionError as error:
        raise UnsatisfiableError("it is nested too deeply") from error
    if value is _NOTHING:
        raise UnsatisfiableError("nothing that was tried fits it")
    return value


@dataclass(frozen=True)
class _Place:
    """Where in the value we are: the property's name, how deep, and inside which `$ref`s."""

    name: str = ""
    depth: int = 0
    refs: tuple[str, ...] = ("#",)

    def below(self, name: str) -> _Place:
        return replace(self, name=name, depth=self.depth + 1)


class _Maker:
    def __init__(self, root: Schema, hints: Hints, is_valid: Callable[[Schema, Any], bool]) -> None:
        self._root = root
        self._hints = hints
        self._is_valid = is_valid
        self._work = 0

    def values(self, schema: Schema, place: _Place) -> Iterator[Any]:
        """Values that the schema takes, each checked."""
        self._spend(1)
        if schema is False or place.depth > MAX_DEPTH:
            return
        for value in islice(self._candidates({} if schema is True else schema, place), MAX_TRIES):
            self._spend(len(value) // 50 if isinstance(value, str) else 1)
            if self._is_valid(schema, value):
                yield value

    def _spend(self, work: int) -> None:
        self._work += work
        if self._work > MAX_WORK:
            raise UnsatisfiableError("it asks for too much")

    def _candidates(self, schema: Any, place: _Place) -> Iterator[Any]:
        rest = dict(schema)
        if "$ref" in schema:
            ref = rest.pop("$ref")
            if ref not in place.refs:
                yield from self.values(
                    merge(rest, resolve(self._root, ref)), replace(place, refs=(*place.refs, ref))
                )
        elif "anyOf" in schema or "oneOf" in schema:
            branches = rest.pop("anyOf" if "anyOf" in schema else "oneOf")
            for branch in sorted(branches, key=lambda branch: branch == {"type": "null"}):
                yield from self.values(merge(rest, branch), place)
        elif "allOf" in schema:
            parts = rest.pop("allOf")
            yield from self.values(reduce(merge, parts, cast(Schema, rest)), place)
        elif "const" in schema:
            yield schema["const"]
        elif "enum" in schema:
            yield from sorted(schema["enum"], key=lambda value: not self._hints.mentions(value))
        else:
            for kind in _kinds(schema):
                yield from self._of_kind(kind, schema, place)

    def _of_kind(self, kind: str, schema: Any, place: _Place) -> Iterator[Any]:
        match kind:
            case "object":
                yield from self._objects(schema, place)
            case "array":
                yield from self._arrays(schema, place)
            case "string":
                yield from strings_for(schema, place.name, self._hints)
            case "integer" | "number":
                yield from numbers_for(schema, kind, self._hints)
            case "boolean":
                yield from (True, False)
            case "null":
                yield None

    def _objects(self, schema: Any, place: _Place) -> Iterator[dict[str, Any]]:
        required = schema.get("required", [])
        streams = {
            name: self.values(part, place.below(name)) for name, part in self._properties(schema, required).items()
        }
        made: dict[str, Any] = {}
        is_first = True
        while True:
            found = {name: value for name, stream in streams.items() for value in islice(stream, 1)}
            made |= found
            if not (found or is_first) or not made.keys() >= set(required):
                return
            yield dict(made)
            is_first = False

    def _properties(self, schema: Any, required: list[str]) -> dict[str, Schema]:
        """Every property to fill; of a map from any name to a value, one made-up name."""
        others = schema.get("additionalProperties", True)
        properties = dict(schema.get("properties", {}))
        properties |= {name: others for name in required if name not in properties}
        is_map = isinstance(others, dict) and not properties
        lacking = max(schema.get("minProperties", 0), int(is_map)) - len(properties)
        words = [word for word in self._hints.words if word not in properties]
        names = chain(words, (f"name{number}" for number in count(1)))
        properties |= dict.fromkeys(islice(names, min(max(lacking, 0), MAX_WORK)), others)
        if "maxProperties" in schema:
            needed_first = sorted(properties, key=lambda name: name not in required)
            properties = {name: properties[name] for name in needed_first[: int(schema["maxProperties"])]}
        return properties

    def _arrays(self, schema: Any, place: _Place) -> Iterator[list[Any]]:
        low, high = schema.get("minItems", 0), schema.get("maxItems", MAX_WORK)
        if low > MAX_WORK:
            return
        parts = schema.get("prefixItems", [])
        head: list[Any] = []
        for part in parts:
            head += islice(self.values(part, place.below(place.name)), 1)
        if len(head) < len(parts):  # the items after one that cannot be filled would stand in its place
            head = []
            high = 0
        wanted = int(max(low, min(high, len(head) or (USUAL_ITEMS if place.depth < MANY_TO_DEPTH else 1))))
        is_unique = schema.get("uniqueItems", False)
        stream = self._items(schema.get("items", True), place.below(place.name), again=not is_unique)
        while True:
            made = head[:wanted]
            fresh = (value for value in stream if not (is_unique and value in made))
            while len(made) < wanted and (more := list(islice(fresh, 1))):
                made += more
            if len(made) < low:
                return
            yield made
            if len(made) == len(head):
                return

    def _items(self, schema: Schema, place: _Place, *, again: bool) -> Iterator[Any]:
        """Values for the items of an array; `again` starts over when there are no more of them."""
        while True:
            is_empty = True
            for value in self.values(schema, place):
                is_empty = False
                yield value
            if is_empty or not again:
                return


def _kinds(schema: dict[str, Any]) -> list[str]:
    """The types to try, null last; without `type`, the one that the other keywords speak of."""
    if "type" in schema:
        kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        return sorted(kinds, key=lambda kind: kind == "null")
    return [next((kind for kind, keywords in KEYWORDS.items() if keywords & schema.keys()), "string")]
