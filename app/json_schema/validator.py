"""Validates values against untrusted JSON Schemas in bounded time.

`jsonschema_rs` is fast and works offline here. But a running validation cannot be stopped, and it lists every error
inside an `anyOf`, which can be millions. So the cost is computed first, and a mismatch is located by validating the
members of a value one by one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from app.json_schema.check_cost import CheckCost, count_conversion
from app.json_schema.engine import compile_schema
from app.json_schema.errors import SchemaNotUsable
from app.json_schema.mismatch import describe_mismatch
from app.json_schema.patterns import Patterns, drop_patterns
from app.json_schema.references import Schema, UnsatisfiableError, check_recursion, iter_subschemas
from app.json_schema.size import check_size
from app.problems import make_printable
from app.runtime.turns import in_turns

if TYPE_CHECKING:
    import jsonschema_rs

_MAX_COST = 10_000_000  # 50 ms
_MAX_CACHED_BYTES = 250_000  # of schemas; compiled, they take up to 100 times as much
_COST_OF_CALL = 1_000
_MAX_PATH_CHARS = 200
_BOUNDS = {"type", "minimum", "exclusiveMinimum", "minItems"}
_URI = "urn:gatehouse:schema"


class BoundedValidator:
    """A compiled JSON Schema (draft 2020-12) with a limit on the cost of each validation."""

    def __init__(self, schema: dict[str, Any]) -> None:
        """Compile the schema.

        Raises:
            SchemaNotUsable: the schema is not valid, or cannot be checked in bounded time.
        """
        # Imported on first use: most requests have no schema.
        import jsonschema_rs

        self._schema = schema
        try:
            # check_recursion() before the rest, which assumes that recursion ends.
            for check in in_turns((check_size, check_recursion)):
                check(schema)
            self._checked = _drop_uri(drop_patterns(schema, _check_subschemas(schema)))
            self._validator = compile_schema(self._checked)
        except UnsatisfiableError as error:
            raise SchemaNotUsable(f"schema: {error}.") from None
        except jsonschema_rs.ValidationError as error:
            raise SchemaNotUsable(_describe_invalid(error)) from None

    def find_problem(self, value: Any) -> str | None:
        """Return the first mismatch of a value, or None. The text may contain names of members, but no values.

        Args:
            value: a value of bounded depth.

        Raises:
            CheckTooCostly: it would take too long.
        """
        check = self.begin_check()
        if check.allows(value, self._schema):
            return None
        return describe_mismatch(value, self._checked, check)

    def begin_check(self, cost: int = _MAX_COST) -> Check:
        """Return a check with a separate cost limit. The schema must not change while the check is in use."""
        return Check(CheckCost(self._schema), self._is_valid, cost)

    def _is_valid(self, value: Any, part: dict[str, Any]) -> bool:
        try:
            if part is self._schema:
                return self._validator.is_valid(value)
            return self._part_validator.is_valid({self._pointers[id(part)]: value})
        except ValueError:  # a number that is too large for the engine
            return False

    @cached_property
    def _part_validator(self) -> jsonschema_rs.Draft202012Validator:
        """One validator for all subschemas, selected by property name, because compiling each would take too long."""
        parts = {pointer: {"$ref": f"{_URI}#{pointer}"} for pointer in self._pointers.values()}
        return compile_schema({"$defs": {"": {**self._checked, "$id": _URI}}, "properties": parts})

    @cached_property
    def _pointers(self) -> dict[int, str]:
        """The JSON pointers of all subschemas by id, for the given schema and for the compiled one."""
        known = {id(part) for schema in (self._schema, self._checked) for part in iter_subschemas(schema)}
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
                    if isinstance(member, dict | list)  # a list of thousands of names has no subschema
                ]
        return pointers


class ValidatorCache:
    """Validators by the hash of their schema. The least recently used ones are evicted.

    The validators of the site's own schemas are never evicted.
    """

    def __init__(self, max_bytes: int = _MAX_CACHED_BYTES) -> None:
        self._max_bytes = max_bytes
        self._retained: dict[bytes, BoundedValidator] = {}
        self._recent: OrderedDict[bytes, tuple[BoundedValidator, int]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, schema: dict[str, Any]) -> BoundedValidator:
        """Return the validator of an equal schema, or a new one.

        Raises:
            SchemaNotUsable: as BoundedValidator does.
        """
        content = orjson.dumps(schema)
        key = sha256(content).digest()
        with self._lock:
            if key in self._retained:
                return self._retained[key]
            if key in self._recent:
                self._recent.move_to_end(key)
                return self._recent[key][0]
        validator = BoundedValidator(schema)
        with self._lock:
            if key not in self._recent:
                self._recent[key] = validator, len(content)
                self._bytes += len(content)
            while self._bytes > self._max_bytes:
                _, (_, size) = self._recent.popitem(last=False)
                self._bytes -= size
        return validator

    def retain(self, schema: dict[str, Any]) -> None:
        """Compile one of the site's own schemas, and cache its validator without eviction.

        Raises:
            SchemaNotUsable: as BoundedValidator does.
        """
        self._retained[sha256(orjson.dumps(schema)).digest()] = BoundedValidator(schema)


VALIDATORS = ValidatorCache()
"""The validators of this process."""


class Check:
    """Validates values against the subschemas of one schema. All calls share one cost limit."""

    def __init__(self, costs: CheckCost, is_valid: Callable[[Any, dict[str, Any]], bool], cost: int) -> None:
        self._costs = costs
        self._is_valid = is_valid
        self._cost_left = cost

    def allows(self, value: Any, part: Schema) -> bool:
        """Return whether a value matches a subschema.

        Raises:
            CheckTooCostly: it would take too long.
        """
        if isinstance(part, bool):
            return part
        self._cost_left -= _COST_OF_CALL
        self._cost_left -= self._costs.count(value, part, self._cost_left)
        return self._is_valid(value, part)

    def convert(self, value: Any) -> None:
        """Count the cost of converting a whole value for the engine.

        Raises:
            CheckTooCostly: it would take too long.
        """
        self._cost_left -= count_conversion(value, self._cost_left)


def _check_subschemas(schema: dict[str, Any]) -> set[str]:
    """Refuse invalid patterns and `patternProperties`.

    Returns:
        the patterns that cannot be checked.

    Raises:
        SchemaNotUsable: the schema is refused.
    """
    patterns = Patterns()
    for part in in_turns(iter_subschemas(schema)):
        if "patternProperties" in part:
            raise SchemaNotUsable('schema: "patternProperties" is not supported.')
        if isinstance(pattern := part.get("pattern"), str) and (problem := patterns.add(pattern)) is not None:
            raise SchemaNotUsable(f'{_find_path(part, schema)}: "pattern" {problem}.')
    return patterns.unchecked


def _drop_uri(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without `$id` and `$schema`, because references would be relative to its `$id`."""
    uris = {keyword for keyword in ("$id", "$schema") if isinstance(schema.get(keyword), str)}
    return {keyword: value for keyword, value in schema.items() if keyword not in uris}


def _describe_invalid(error: jsonschema_rs.ValidationError) -> str:
    """Return where a schema is invalid and what is expected there, but not the given value, which may be long."""
    path = make_printable(".".join(["schema", *map(str, error.instance_path)]), _MAX_PATH_CHARS)
    if error.kind.name in _BOUNDS:
        expected = error.kind.value
        words = " or ".join(expected) if isinstance(expected, list) else expected
        return f"{path}: is not valid JSON Schema, which has {error.kind.name} {words} there."
    return f"{path}: is not valid JSON Schema."


def _find_path(part: dict[str, Any], schema: dict[str, Any]) -> str:
    waiting: list[tuple[str, Any]] = [("schema", schema)]
    while waiting:
        path, value = waiting.pop()
        if value is part:
            return make_printable(path, _MAX_PATH_CHARS)
        if isinstance(value, dict | list):
            members = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [(f"{path}.{name}"[:200], member) for name, member in members]
    raise AssertionError("the part is of this schema")
