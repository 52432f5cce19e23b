"""Checking a value against a JSON schema that a stranger wrote, in bounded time.

The `jsonschema` package trusts its schemas: it fetches what they refer to, runs their regular expressions, and
follows references that double at each step. None of that may happen to a server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import orjson

from app.json_schema.errors import CheckTooCostly, SchemaNotUsable
from app.json_schema.references import UnsatisfiableError, check_ends, parts_of

if TYPE_CHECKING:
    import jsonschema

_MAX_PARTS = 2_000
_MAX_PATTERN_CHARS = 1_000
_MAX_STEPS = 40_000  # some tenths of a second; four for each token of a long answer
_COST = {"$ref": 5}
_MAX_FAULT_CHARS = 500
_TELLING = {"type", "minimum", "exclusiveMinimum", "minItems"}


class BoundedSchema:
    """A JSON schema (draft 2020-12) that is ready to be checked against."""

    def __init__(self, schema: dict[str, Any]) -> None:
        """Raises SchemaNotUsable if it is not valid, or could not be checked in bounded time."""
        # Imported here: it takes a tenth of the whole start, and most sites' first request is a chat.
        import jsonschema
        import referencing

        draft = jsonschema.Draft202012Validator
        try:
            check_ends(schema)  # first, since the validator does not survive a schema without end
            _check_parts(schema)
            draft.check_schema(schema, format_checker=jsonschema.FormatChecker(()))
        except UnsatisfiableError as error:
            raise SchemaNotUsable(f"schema: {error}.") from None
        except jsonschema.SchemaError as error:
            raise SchemaNotUsable(_fault_in_schema(error)) from None
        self._steps_left = _MAX_STEPS
        checks = {**draft.VALIDATORS, "pattern": _passes, "uniqueItems": _unique_items}
        kind = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
            draft,
            validators={keyword: self._counted(check, _COST.get(keyword, 1)) for keyword, check in checks.items()},
        )
        # The empty registry keeps a `$ref` from being fetched from where it points.
        self._validator = kind(schema, registry=referencing.Registry())

    def fault_of(self, value: Any) -> str | None:
        """What is wrong with a value, in words that may hold parts of it; None if nothing is.

        Args:
            value: of bounded depth.
        Raises:
            CheckTooCostly: finding out takes too long.
        """
        self._steps_left = _MAX_STEPS
        try:
            error = next(self._validator.iter_errors(value), None)
        except (RecursionError, ArithmeticError):
            return "it has values that cannot be checked"
        return None if error is None else f"at {error.json_path}: {error.message[:_MAX_FAULT_CHARS]}"

    def allows(self, value: Any, part: dict[str, Any]) -> bool:
        """Whether a value fits a part of the schema; all such questions together have one bound.

        Raises:
            CheckTooCostly: finding out takes too long.
        """
        try:
            return bool(self._validator.evolve(schema=part).is_valid(value))
        except (RecursionError, ArithmeticError):
            return False

    def _counted(self, check: Callable[..., Any], cost: int) -> Callable[..., Any]:
        """A keyword's check that takes its steps from those that are left."""

        def counted(validator: Any, wanted: Any, value: Any, schema: Any) -> Any:
            self._steps_left -= cost
            if self._steps_left < 0:
                raise CheckTooCostly
            return check(validator, wanted, value, schema)

        return counted


def _fault_in_schema(error: jsonschema.SchemaError) -> str:
    """Where a schema is no schema, and what should stand there; not what does, which may be anything."""
    path = _printable(".".join(["schema", *map(str, error.absolute_path)]))
    if error.validator in _TELLING:
        return f"{path}: must be as JSON Schema has it, {error.validator} {error.validator_value}."
    return f"{path}: is not as JSON Schema has it."


def _check_parts(schema: dict[str, Any]) -> None:
    """Refuse too large a schema, what is no regular expression, and those as names, which would have to be run.

    Those of `pattern` are left to the upstream, as some take Python's `re` for ever.
    """
    for number, part in enumerate(parts_of(schema)):
        if number >= _MAX_PARTS:
            raise SchemaNotUsable(f"schema: has more than {_MAX_PARTS} parts.")
        if "patternProperties" in part:
            raise SchemaNotUsable('schema: "patternProperties" is not supported.')
        if isinstance(pattern := part.get("pattern"), str):
            try:
                re.compile(pattern[: _MAX_PATTERN_CHARS + 1])
            except (re.error, OverflowError, RecursionError):
                raise SchemaNotUsable(
                    f'{_path_to(part, schema)}: "pattern" must be a regular expression.'
                ) from None
            if len(pattern) > _MAX_PATTERN_CHARS:
                raise SchemaNotUsable(
                    f'{_path_to(part, schema)}: "pattern" must be of at most {_MAX_PATTERN_CHARS} characters.'
                )


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
    return "".join(char if char.isprintable() else "?" for char in path[:200])


def _passes(*_: Any) -> Iterator[Any]:
    return iter(())


def _unique_items(validator: Any, is_wanted: Any, value: Any, _: Any) -> Iterator[Any]:
    """The package compares each with each."""
    from jsonschema import ValidationError

    if is_wanted and validator.is_type(value, "array"):
        texts = {orjson.dumps(item, option=orjson.OPT_SORT_KEYS) for item in value}
        if len(texts) < len(value):
            yield ValidationError("has items that are not unique")
