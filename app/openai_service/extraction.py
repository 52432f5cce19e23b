"""Checking that an answer is what its JSON schema asks for, and what to tell the model when it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from app.openai_service.errors import ContentFiltered, Refused, SchemaNotUsable, Truncated
from app.openai_service.events import Usage
from app.openai_service.results import ChatResult
from app.schema_refs import UnsatisfiableError, check_ends

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_MAX_FAULT_CHARS = 500


class UnfitAnswer(Exception):
    """The answer does not fit. The message says why, in words for the model: it can hold parts of the answer."""

    def repair_messages(self, answer: str) -> list[dict[str, Any]]:
        """What to add to the conversation so that the model can mend its answer."""
        demand = f"This does not fit: {self}. Answer again with the corrected JSON and nothing else."
        return [{"role": "assistant", "content": answer}, {"role": "user", "content": demand}]


class InstanceChecker:
    """Reads answers to one `response_format`, a JSON schema or JSON mode."""

    def __init__(self, response_format: dict[str, Any] | None) -> None:
        """Raises SchemaNotUsable if the schema is no valid JSON schema."""
        asked = (response_format or {}).get("json_schema")
        self._validator = None if asked is None else _validator(asked["schema"])

    def read(self, result: ChatResult) -> Any:
        """The value that the model answered with.

        Raises:
            Refused, Truncated, ContentFiltered: there is none, and asking again would not change that.
            UnfitAnswer: it is no JSON, or not what the schema asks for.
        """
        if result.refusal:
            raise Refused
        if result.finish_reason == "content_filter":
            raise ContentFiltered
        if result.finish_reason == "length":
            raise Truncated
        try:
            data = orjson.loads(result.text)
        except orjson.JSONDecodeError:
            raise UnfitAnswer("it is not valid JSON") from None
        if self._validator is None:
            if not isinstance(data, dict):
                raise UnfitAnswer("it is not a JSON object")
            return data
        fault = next(self._validator.iter_errors(data), None)
        if fault is not None:
            raise UnfitAnswer(f"at {fault.json_path}: {fault.message[:_MAX_FAULT_CHARS]}")
        return data


def _validator(schema: dict[str, Any]) -> Validator:
    # Imported here: it takes a tenth of the whole start, and most sites' first request is a chat.
    import jsonschema
    import referencing

    kind = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
        jsonschema.Draft202012Validator,
        # Patterns come from callers, and some take Python's `re` for ever. The upstream enforces them.
        validators={"pattern": _passes, "patternProperties": _passes},
    )
    try:
        # First, since the validator itself does not survive a schema that goes on without end.
        check_ends(schema)
        jsonschema.Draft202012Validator.check_schema(schema)
        # The empty registry keeps a `$ref` from being fetched from where a caller points it.
        validator: Validator = kind(schema, registry=referencing.Registry())
    except UnsatisfiableError as error:
        raise SchemaNotUsable(f"schema: {error}.") from None
    except jsonschema.SchemaError as error:
        raise SchemaNotUsable(f"schema: is no valid JSON schema at {error.json_path[:200]}.") from None
    return validator


def _passes(*_: Any) -> None:
    return None


def add_usage(one: Usage | None, other: Usage | None) -> Usage | None:
    """The sum of two usages, member by member; None is unknown, not zero, and changes nothing."""
    if one is None or other is None:
        return one or other
    total: Usage = {}
    for name in one.keys() | other.keys():
        left, right = one.get(name), other.get(name)
        if isinstance(left, dict) or isinstance(right, dict):
            total[name] = add_usage(left or {}, right or {})
        elif isinstance(left, int) and isinstance(right, int):
            total[name] = left + right
        else:
            total[name] = left if right is None else right
    return total
