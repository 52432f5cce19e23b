"""Make a value for a JSON schema, and validate it."""

from __future__ import annotations

from typing import Any

from app.json_schema.check_cost import CheckCost
from app.json_schema.engine import compile_schema
from app.json_schema.errors import CheckTooCostly
from app.json_schema.patterns import Patterns, drop_patterns
from app.json_schema.references import Schema, UnsatisfiableError, check_recursion, iter_subschemas
from app.json_schema.size import check_size
from app.offline_model.instances.hints import Hints
from app.offline_model.instances.maker import Place, SchemaMaker

__all__ = ["UnsatisfiableError", "make_instance"]

MAX_CHECK_COST = 10_000_000


def make_instance(schema: Schema, text: str) -> Any:
    """Return a value that matches the schema, the same for the same text.

    Args:
        schema: JSON Schema 2020-12, with `$ref` only into itself.
        text: the user's text, for names, numbers and words.

    Raises:
        UnsatisfiableError: the schema is invalid, or no value was found.
    """
    # Imported on first use: most requests have no schema.
    from jsonschema_rs import ValidationError

    whole: dict[str, Any] = schema if isinstance(schema, dict) else {"allOf": [schema]}
    try:
        check_size(whole)
        check_recursion(whole)
        whole = drop_patterns(whole, _find_unchecked(whole))
        validator = compile_schema(whole)
        value = SchemaMaker(whole, Hints(text)).make(whole, Place())
        CheckCost(whole).count(value, whole, MAX_CHECK_COST)
    except ValidationError as error:
        path = ".".join(["schema", *map(str, error.instance_path)])
        raise UnsatisfiableError(f"{path} is not valid JSON Schema") from error
    except CheckTooCostly as error:
        raise UnsatisfiableError("it asks for too much") from error
    if not validator.is_valid(value):
        raise UnsatisfiableError("none of the values that were tried matches it")
    return value


def _find_unchecked(schema: dict[str, Any]) -> set[str]:
    patterns = Patterns()
    for part in iter_subschemas(schema):
        if isinstance(part.get("pattern"), str) and (problem := patterns.add(part["pattern"])) is not None:
            raise UnsatisfiableError(f'its "pattern" {problem}')
    return patterns.unchecked
