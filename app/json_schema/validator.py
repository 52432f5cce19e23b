"""Checking a value against a JSON Schema that a stranger wrote, in bounded time.

`jsonschema_rs` is fast and fetches nothing here, but a check cannot be stopped once it runs, and lists every error
inside an `anyOf`, which can be millions. So the cost is counted before a check, and what is wrong is found by
asking for the members of a value one by one whether they fit.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from app.json_schema.check_cost import CheckCost
from app.json_schema.engine import compile_schema
from app.json_schema.errors import SchemaNotUsable
from app.json_schema.misfits import describe_misfit
from app.json_schema.patterns import Patterns, drop_patterns
from app.json_schema.references import Schema, UnsatisfiableError, check_ends, iter_parts

if TYPE_CHECKING:
    import jsonschema_rs

_MAX_PARTS = 2_000
_MAX_COST = 20_000_000  # 0.1 to 0.2 s
_MAX_PATH_CHARS = 200
_BOUNDS = {"type", "minimum", "exclusiveMinimum", "minItems"}
_URI = "urn:gatehouse:schema"


class BoundedValidator:
    """A JSON Schema (draft 2020-12) that is ready to be checked against."""

    def __init__(self, schema: dict[str, Any]) -> None:
        """Compile the schema.

        Raises:
            SchemaNotUsable: it is not valid, or cannot be checked in bounded time.
        """
        # Imported here: most sites' first request is a chat.
        import jsonschema_rs

        self._schema = schema
        try:
            check_ends(schema)  # first, since nothing else survives a schema without end
            self._checked = _without_name(drop_patterns(schema, _check_parts(schema)))
            self._validator = compile_schema(self._checked)
        except UnsatisfiableError as error:
            raise SchemaNotUsable(f"schema: {error}.") from None
        except jsonschema_rs.ValidationError as error:
            raise SchemaNotUsable(_problem_of_schema(error)) from None
        self._costs = CheckCost(schema)
        self._cost_left = _MAX_COST

    def fault_of(self, value: Any) -> str | None:
        """Return what is wrong with a value, in words that may hold names in it but no other values; None if nothing.

        Args:
            value: of bounded depth.

        Raises:
            CheckTooCostly: finding out takes too long.
        """
        self._cost_left = _MAX_COST
        if self.allows(value, self._schema):
            return None
        return describe_misfit(value, self._checked, self.allows)

    def allows(self, value: Any, part: Schema) -> bool:
        """Say whether a value fits a part of the schema; all such questions about one value have one bound.

        Raises:
            CheckTooCostly: finding out takes too long.
        """
        if isinstance(part, bool):
            return part
        self._cost_left -= self._costs.count(value, part, self._cost_left)
        try:
            if part is self._schema:
                return self._validator.is_valid(value)
            return self._part_validator.is_valid({self._pointers[id(part)]: value})
        except ValueError:  # a number that no one can calculate with
            return False

    @cached_property
    def _part_validator(self) -> jsonschema_rs.Draft202012Validator:
        """One for all parts, as compiling each by itself takes too long: a value's name says which it is to fit."""
        parts = {pointer: {"$ref": f"{_URI}#{pointer}"} for pointer in self._pointers.values()}
        return compile_schema({"$defs": {"": {**self._checked, "$id": _URI}}, "properties": parts})

    @cached_property
    def _pointers(self) -> dict[int, str]:
        """The JSON pointers of all parts, by identity; of the schema as it was given, and as it is checked."""
        known = {id(part) for schema in (self._schema, self._checked) for part in iter_parts(schema)}
        pointers: dict[int, str] = {}
        waiting: list[tuple[str, Any]] = [("", self._schema), ("", self._checked)]
        while waiting:
            pointer, value = waiting.pop()
            if id(value) in known:
                pointers[id(value)] = pointer
            if isinstance(value, dict | list):
                members = value.items() if isinstance(value, dict) else enumerate(value)
                waiting += [
                    (f"{pointer}/{quote(str(name).replace('~', '~0').replace('/', '~1'), safe='')}", member)
                    for name, member in members
                ]
        return pointers


def _check_parts(schema: dict[str, Any]) -> set[str]:
    """Refuse too large a schema, what is no regular expression, and those that stand for names.

    Returns:
        the patterns that are not checked.
    """
    patterns = Patterns()
    for number, part in enumerate(iter_parts(schema)):
        if number >= _MAX_PARTS:
            raise SchemaNotUsable(f"schema: has more than {_MAX_PARTS} parts.")
        if "patternProperties" in part:
            raise SchemaNotUsable('schema: "patternProperties" is not supported.')
        if isinstance(pattern := part.get("pattern"), str) and (problem := patterns.add(pattern)) is not None:
            raise SchemaNotUsable(f'{_path_to(part, schema)}: "pattern" {problem}.')
    return patterns.unchecked


def _without_name(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without a URI of its own, which its references would be relative to."""
    names = {keyword for keyword in ("$id", "$schema") if isinstance(schema.get(keyword), str)}
    return {keyword: value for keyword, value in schema.items() if keyword not in names}


def _problem_of_schema(error: jsonschema_rs.ValidationError) -> str:
    """Say where a schema is no schema, and what should stand there; not what does, which may be anything."""
    path = _printable(".".join(["schema", *map(str, error.instance_path)]))
    if error.kind.name in _BOUNDS:
        wanted = error.kind.value
        words = " or ".join(wanted) if isinstance(wanted, list) else wanted
        return f"{path}: must be as JSON Schema has it, {error.kind.name} {words}."
    return f"{path}: is not as JSON Schema has it."


def _path_to(part: dict[str, Any], schema: dict[str, Any]) -> str:
    waiting: list[tuple[str, Any]] = [("schema", schema)]
    while waiting:
        path, value = waiting.pop()
        if value is part:
            return _printable(path)
        if isinstance(value, dict | list):
            members = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [(f"{path}.{name}"[:200], member) for name, member in members]
    raise AssertionError("the part is of this schema")


def _printable(path: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in path[:_MAX_PATH_CHARS])
