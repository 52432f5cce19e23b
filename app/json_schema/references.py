"""Resolves `$ref`, walks and copies schemas, and refuses schemas with infinite recursion.

The validator follows references until the stack overflows. That is worse than a RecursionError: `except Exception` does
not catch the resulting panic in its compiled code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from app.runtime.turns import in_turns

Schema = dict[str, Any] | bool

# Both are far above OpenAI's limit (10 levels), and far below the limit of the stack.
MAX_NESTING = 50
MAX_CHAIN = 12


_VALUES = {"enum", "const", "default", "examples"}
_BY_NAME = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}


class UnsatisfiableError(Exception):
    """No value matches the schema, or it cannot be evaluated here; the message says why."""


def resolve(root: Schema, ref: str) -> Schema:
    """Return the schema that a `$ref` points to, a JSON pointer into `root` such as `#/$defs/node`.

    Raises:
        UnsatisfiableError: its target does not exist, or is not a schema.
    """
    part: Any = root
    for step in ref.removeprefix("#").split("/")[1:]:
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        try:
            part = part[int(key)] if isinstance(part, list) else part[key]
        except (LookupError, TypeError, ValueError) as error:
            raise UnsatisfiableError("it has a $ref that points to nothing") from error
    if not isinstance(part, dict | bool):
        raise UnsatisfiableError("it has a $ref that does not point to a schema")
    return part


def check_recursion(root: Schema) -> None:
    """Refuse a schema that is nested too deeply, or that applies itself to the same value without end.

    Raises:
        UnsatisfiableError: the schema is refused, or has a reference that is not a JSON pointer into itself.
    """
    chains: dict[int, int | None] = {}

    def measure_chain(part: Any, depth: int = 0) -> int:
        """Return the length of the longest chain of schemas that apply to the same value."""
        if not isinstance(part, dict):
            return 0
        if id(part) not in chains:
            chains[id(part)] = None
            inner = [
                measure_chain(other, depth + 1)
                for other in iter_in_place_subschemas(part, root)
                if depth < MAX_CHAIN
            ]
            chains[id(part)] = 1 + max(inner, default=0)
        length = chains[id(part)]
        if length is None or depth + length > MAX_CHAIN:
            raise UnsatisfiableError("it refers to itself without end, or its references are nested too deeply")
        return length

    parts = list(iter_subschemas(root))
    known = {id(part) for part in parts}
    for part in in_turns(parts):
        _check_references(part, is_root=part is root)
        # A target that is not one of the subschemas, such as a default, has not been checked.
        if isinstance(part.get("$ref"), str):
            target = resolve(root, part["$ref"])
            if isinstance(target, dict) and id(target) not in known:
                raise UnsatisfiableError("it has a $ref that does not point to a schema")
        measure_chain(part)


def iter_subschemas(root: Any) -> Iterator[dict[str, Any]]:
    """Yield a schema and all its subschemas, but not values that look like a schema, such as a default.

    Raises:
        UnsatisfiableError: the schema is nested too deeply.
    """
    # (container, whether its members' names are keywords, depth)
    waiting: list[tuple[Any, bool, int]] = [(root, True, 0)]
    while waiting:
        part, has_keywords, nesting = waiting.pop()
        if nesting > MAX_NESTING:
            raise UnsatisfiableError("it is nested too deeply")
        if isinstance(part, list):
            waiting += [(item, True, nesting + 1) for item in part]
        elif isinstance(part, dict):
            if has_keywords:
                yield part
            waiting += [
                (inner, not (has_keywords and name in _BY_NAME), nesting + 1)
                for name, inner in part.items()
                if not (has_keywords and name in _VALUES)
            ]


def copy_schema(schema: Any) -> Any:
    """Return a copy of all lists and objects of a schema of bounded depth.

    It is two to ten times as fast as `copy.deepcopy()`, which remembers each part that it has copied.
    """
    if isinstance(schema, dict):
        return {name: copy_schema(value) for name, value in schema.items()}
    if isinstance(schema, list):
        return [copy_schema(item) for item in schema]
    return schema


def _check_references(part: dict[str, Any], *, is_root: bool) -> None:
    ref = part.get("$ref")
    elsewhere = isinstance(ref, str) and ref != "#" and not ref.startswith("#/")
    renamed = isinstance(part.get("$id"), str) and not is_root
    if elsewhere or renamed or isinstance(part.get("$dynamicRef"), str):
        raise UnsatisfiableError("it has a reference that is not a JSON pointer into it")


def iter_in_place_subschemas(part: dict[str, Any], root: Schema) -> Iterator[Any]:
    """Yield the subschemas that apply to the same value as the schema itself: references, options and conditions."""
    if isinstance(part.get("$ref"), str):
        yield resolve(root, part["$ref"])
    for key in ("allOf", "anyOf", "oneOf"):
        if isinstance(part.get(key), list):
            yield from part[key]
    yield from (part.get(key) for key in ("not", "if", "then", "else"))
    if isinstance(part.get("dependentSchemas"), dict):
        yield from part["dependentSchemas"].values()
