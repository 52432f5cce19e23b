"""Where a `$ref` points, and whether following a schema's references comes to an end.

The validator follows them without looking, until Python's stack is full. That is worse than an ordinary
RecursionError: where the stack ends inside its compiled part, it panics past `except Exception`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

Schema = dict[str, Any] | bool

# Both far beyond what OpenAI takes (10 levels), both far from the end of the stack.
MAX_NESTING = 50
MAX_CHAIN = 12


_VALUES = {"enum", "const", "default", "examples"}
_BY_NAME = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}


class UnsatisfiableError(Exception):
    """No value was found: there is none, or it is beyond what is tried here."""


def resolve(root: Schema, ref: str) -> Schema:
    """Find what a `$ref` points to: a JSON pointer into the schema itself, such as `#/$defs/node`."""
    part: Any = root
    for step in ref.removeprefix("#").split("/")[1:]:
        key = unquote(step).replace("~1", "/").replace("~0", "~")
        try:
            part = part[int(key)] if isinstance(part, list) else part[key]
        except (LookupError, TypeError, ValueError) as error:
            raise UnsatisfiableError("it has a $ref that leads nowhere") from error
    if not isinstance(part, dict | bool):
        raise UnsatisfiableError("it has a $ref that leads to no schema")
    return part


def check_ends(root: Schema) -> None:
    """Refuse a schema that is nested too deeply, or that applies to a value again and again without end.

    Raises:
        UnsatisfiableError: that, or it refers to something by other means than a JSON pointer into itself.
    """
    chains: dict[int, int | None] = {}

    def chain_from(part: Any, depth: int = 0) -> int:
        """How many schemas apply to one value, each by way of the one before."""
        if not isinstance(part, dict):
            return 0
        if id(part) not in chains:
            chains[id(part)] = None
            inner = [
                chain_from(other, depth + 1) for other in schemas_of_same_value(part, root) if depth < MAX_CHAIN
            ]
            chains[id(part)] = 1 + max(inner, default=0)
        length = chains[id(part)]
        if length is None or depth + length > MAX_CHAIN:
            raise UnsatisfiableError("it refers to itself without end, or nearly so")
        return length

    parts = list(iter_parts(root))
    known = {id(part) for part in parts}
    for part in parts:
        _check_references(part, is_root=part is root)
        # What only looks like a schema, such as a default, has not been looked at.
        if isinstance(part.get("$ref"), str):
            target = resolve(root, part["$ref"])
            if isinstance(target, dict) and id(target) not in known:
                raise UnsatisfiableError("it has a $ref that leads to no schema")
        chain_from(part)


def iter_parts(root: Any) -> Iterator[dict[str, Any]]:
    """Yield a schema and every schema in it, without what only looks like one: values, and the names of properties.

    Raises:
        UnsatisfiableError: it is nested too deeply.
    """
    # (what may hold schemas, whether its members' names are keywords, how deep it is nested)
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


def _check_references(part: dict[str, Any], *, is_root: bool) -> None:
    ref = part.get("$ref")
    elsewhere = isinstance(ref, str) and ref != "#" and not ref.startswith("#/")
    renamed = isinstance(part.get("$id"), str) and not is_root
    if elsewhere or renamed or isinstance(part.get("$dynamicRef"), str):
        raise UnsatisfiableError("it has a reference that is no JSON pointer into it")


def schemas_of_same_value(part: dict[str, Any], root: Schema) -> Iterator[Any]:
    """Yield what a schema applies to the very value that it applies to itself: references, options, conditions."""
    if isinstance(part.get("$ref"), str):
        yield resolve(root, part["$ref"])
    for key in ("allOf", "anyOf", "oneOf"):
        if isinstance(part.get(key), list):
            yield from part[key]
    yield from (part.get(key) for key in ("not", "if", "then", "else"))
    if isinstance(part.get("dependentSchemas"), dict):
        yield from part["dependentSchemas"].values()
