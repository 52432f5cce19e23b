"""From the bytes of a body to a checked model, or to the one sentence that says what is wrong with it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

_ROLES = {"user", "assistant", "tool", "system"}

NOT_BLANK_PATTERN = r"\S"
NAME_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
_PATTERN_SENTENCES = {
    NOT_BLANK_PATTERN: "must not be empty",
    NAME_PATTERN: "must be 1 to 64 letters, digits, underscores or hyphens",
}

MAX_DEPTH = 64
"""How deeply a free-form object, such as a JSON schema, may be nested."""

# A body's objects have some ten members; one with thousands is an attack on the list of its errors.
MAX_MEMBERS = 64


class InvalidRequest(ValueError):
    """The body is off. The message is one safe sentence that names the field."""


class UnsupportedMediaType(ValueError):
    """The body is of a kind that the route does not take."""


class RequestModel(BaseModel):
    """A body in camelCase, checked strictly: no other fields, no "1" for 1."""

    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", strict=True, frozen=True, hide_input_in_errors=True
    )


M = TypeVar("M", bound=RequestModel)


def parse_json(data: bytes, model: type[M]) -> M:
    """Parse a body.

    Raises:
        InvalidRequest: it is no JSON object, or a field is missing, unknown, ill-typed or out of bounds.
    """
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise InvalidRequest(_why_not_json(data)) from None
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    # An escaped NUL is legal JSON, but no text, and stores and logs behind us may stop at it.
    if b"\\u0000" in data:
        for path, value in _strings(body):
            if "\0" in value:
                raise InvalidRequest(f"{path}: must not contain the character NUL.")
    return validate(body, model)


def validate(body: dict[str, Any], model: type[M]) -> M:
    """Check a body that is parsed already.

    Raises:
        InvalidRequest: as parse_json() does.
    """
    if len(body) > MAX_MEMBERS:
        raise InvalidRequest(f"The body must have at most {MAX_MEMBERS} fields.")
    try:
        return model.model_validate(body)
    except ValidationError as errors:
        raise InvalidRequest(_sentence(errors)) from None


def few_members(items: Any) -> Any:
    """For a list of objects, before it is checked: refuse an object with thousands of members."""
    if isinstance(items, list) and any(isinstance(item, dict) and len(item) > MAX_MEMBERS for item in items):
        raise ValueError(f"must hold objects of at most {MAX_MEMBERS} fields each")
    return items


def not_too_deep(value: Any) -> Any:
    """For a free-form object: refuse one that is nested more than MAX_DEPTH deep."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            member
            for item in level
            if isinstance(item, dict | list)
            for member in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return value
    raise ValueError(f"must be nested at most {MAX_DEPTH} deep")


def _sentence(errors: ValidationError) -> str:
    """The first error only, and never the input: it may be anything, and of any size."""
    error = errors.errors(include_url=False, include_context=True, include_input=False)[0]
    path = _path(error["loc"])
    kind, message = error["type"], error["msg"]
    if kind == "string_pattern_mismatch":
        message = _PATTERN_SENTENCES[error["ctx"]["pattern"]]
    if kind == "extra_forbidden":
        return f"Unknown field {path}."
    if kind == "missing":
        return f"Missing {path}."
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    message = message[:1].lower() + message[1:]
    if not path:
        return f"{message[:1].upper()}{message[1:].rstrip('.')}."
    return f"{path}: {message.rstrip('.')}."


def _path(location: tuple[int | str, ...]) -> str:
    """Where an error is, as the caller wrote it: without the role, which the checker puts behind an index."""
    parts = [
        str(part)
        for before, part in zip((None, *location), location, strict=False)
        if not (isinstance(before, int) and part in _ROLES)
    ]
    return _printable(".".join(parts))


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:200]


def _why_not_json(data: bytes) -> str:
    """Name the field where the body would be JSON but for a lone surrogate or a number that is none."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return "The body is not valid JSON in UTF-8, or is nested too deeply."
    for path, value in _leaves(body):
        if isinstance(value, float) and not math.isfinite(value):
            return f"{path}: must be a finite number."
        if isinstance(value, str) and not _is_unicode(value):
            return f"{path}: must not contain half of a surrogate pair."
    return "The body is not valid JSON in UTF-8, or is nested too deeply."


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _strings(body: Any) -> Iterator[tuple[str, str]]:
    return ((path, value) for path, value in _leaves(body) if isinstance(value, str))


def _leaves(body: Any) -> Iterator[tuple[str, Any]]:
    """Each value that is no list or object, and each name, with its path; without recursion."""
    waiting: list[tuple[str, Any]] = [("", body)]
    while waiting:
        path, value = waiting.pop()
        dot = f"{path}." if path else ""
        if isinstance(value, dict):
            for name, member in value.items():
                yield f"{dot}a name", name
                waiting.append((f"{dot}{_printable(name) if _is_unicode(name) else '?'}", member))
        elif isinstance(value, list):
            waiting += [(f"{dot}{index}", member) for index, member in enumerate(value)]
        else:
            yield path or "The body", value
