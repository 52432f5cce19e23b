"""Parse and validate a request body, and describe its first error in one sentence."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from app.config.formats import NAME_PATTERN
from app.json_schema.size import MAX_DEPTH, is_deeper
from app.problems import InvalidRequest, Problem, make_printable
from app.runtime.turns import give_turn, in_turns
from app.web.hints.field_names import choose_error, describe_unknown
from app.web.schemas.json_values import MAX_VALUES, check_value_count

# The tags of a union's branches have a common prefix, by which they are removed from an error's path.
_TAG = "(as "
AS_TEXT, AS_OTHER, AS_HOSTED = f"{_TAG}text)", f"{_TAG}other)", f"{_TAG}hosted)"
_ACCEPTED_PARTS = "text, image_url or file"
_PART_TYPE = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_ROLES = {"user", "assistant", "tool", "system", "developer"}
_PART_TYPES = {"text", "input_text", "image_url", "input_image", "file", "input_file"}
_MODEL_ITEM_TYPES = ("function_call", "custom_tool_call", "computer_call", "reasoning")
ITEM_TYPES = (*_MODEL_ITEM_TYPES, *(f"{call}_output" for call in _MODEL_ITEM_TYPES[:-1]))
"""The types of items of /v1/responses other than messages."""
# Tags of unions, which pydantic adds to an error's path after the index of an item.
_TAGS = _ROLES | _PART_TYPES | {*ITEM_TYPES}

NOT_BLANK_PATTERN = r"\S"
_PATTERN_SENTENCES = {
    NOT_BLANK_PATTERN: "must not be empty",
    NAME_PATTERN: "must be 1 to 64 letters, digits, underscores or hyphens",
}

# Objects in a body have about ten members. Thousands of unknown members would produce a very long list of errors.
MAX_MEMBERS = 64
# A smaller body cannot have so many.
_MIN_CHECKED_BYTES = 32_768
# Parsing a larger body a second time, only to explain its error, would take too long.
_MAX_PATH_CHARS = 200
_MAX_EXPLAINED_BYTES = 1024 * 1024
_MIN_YIELDING_BYTES = 256 * 1024
_INVALID_JSON = "The body is not valid JSON in UTF-8, or is nested too deeply."
# For isinstance() with each message of a conversation: building `list | dict` takes longer than the check.
_CONTAINERS = (list, dict)
_STARTS_WITH_FIELD = re.compile(r"[\w.]+: ")
# Fields whose members may be anything, or are ignored if unknown, so that they cause no errors.
_FREE_FORM = ("schema", "parameters", "parts", "metadata", "state", "forwardedProps")

_Path = tuple[Any, int | str] | None
"""The location of a value: the path of its container, and its name or index in it."""


class RequestModel(BaseModel):
    """A body in camelCase. Validation is strict: no unknown fields, no "1" for 1."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        defer_build=True,  # until the first such body, which makes the start of a worker 0.1 s faster
    )


M = TypeVar("M", bound=RequestModel)


def parse_json(data: bytes, model: type[M], max_values: int = MAX_VALUES) -> M:
    """Parse and validate a body.

    Raises:
        InvalidRequest: see parse_object(); or a field is missing, unknown, of the wrong type or out of bounds.
    """
    return validate(parse_object(data, max_values), model)


def parse_object(data: bytes, max_values: int = MAX_VALUES) -> dict[str, Any]:
    """Parse a body without validating its fields.

    Raises:
        InvalidRequest: it is not a JSON object, contains NUL, or contains more than `max_values` values.
    """
    data = data.removeprefix(codecs.BOM_UTF8)  # Windows tools write it, and RFC 8259 lets a parser ignore it
    check_value_count(data, max_values)
    _give_turn(data)
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise _explain_invalid_json(data) from None
    if not isinstance(body, dict):
        raise InvalidRequest("The body must be a JSON object.")
    # An escaped NUL is valid JSON, but databases and logs may truncate a text at it.
    if 0x5C in data and data.find(b"\\u0000") >= 0:  # a backslash: to find one byte is far faster
        for path, value in in_turns(_iter_leaves(body)):
            if isinstance(value, str) and "\0" in value and not _is_answer(body, path):
                raise InvalidRequest("must not contain the character NUL.", field=_join_path(path))
    if len(data) > _MIN_CHECKED_BYTES:
        _give_turn(data)
        _check_members(body)
    _give_turn(data)
    return body


def _is_answer(body: dict[str, Any], path: _Path) -> bool:
    """Return whether a value is in a turn of the model, which the client returns as the model wrote it."""
    steps: list[int | str] = []
    while path is not None:
        path, step = path
        steps.append(step)
    if len(steps) < 3 or steps[-1] not in ("messages", "input") or not isinstance(steps[-2], int):
        return False
    turn = body[steps[-1]][steps[-2]]
    return isinstance(turn, dict) and (turn.get("role") == "assistant" or turn.get("type") in _MODEL_ITEM_TYPES)


def _give_turn(data: bytes) -> None:
    """Let other requests of this worker run, between two steps over a large body."""
    if len(data) > _MIN_YIELDING_BYTES:
        give_turn()


def validate(body: dict[str, Any], model: type[M]) -> M:
    """Validate a parsed body.

    Raises:
        InvalidRequest: a field is missing, unknown, of the wrong type or out of bounds.
    """
    try:
        return model.model_validate(body)
    except ValidationError as errors:
        raise _describe_first(errors, model) from None


@contextmanager
def prefix_errors(where: str) -> Iterator[None]:
    """Prefix the field of an InvalidRequest that is raised in the block."""
    try:
        yield
    except InvalidRequest as error:
        raise prefix_error(error, where) from None


def prefix_error(error: Problem, where: str) -> Problem:
    """Return the error with a path as prefix of its field."""
    sentence = str(error)
    for begin in ("Missing ", "Unknown field "):
        if sentence.startswith(begin):
            sentence = f"{begin}{where}.{sentence.removeprefix(begin)}"
            break
    else:
        sentence = f"{where}.{sentence}" if _STARTS_WITH_FIELD.match(sentence) else f"{where}: {sentence}"
    placed = type(error)(sentence)
    placed.field = where if error.field is None else f"{where}.{error.field}"
    return placed


def get_union_tag(value: Any) -> str:
    """Return the tag of the union branch for a value, so that only the errors of this branch are reported."""
    return AS_OTHER if isinstance(value, _CONTAINERS) else AS_TEXT


def _check_members(body: dict[str, Any]) -> None:
    """Refuse objects with so many members that listing their errors would take too long."""
    for path, value in in_turns(_iter_containers(body)):
        if isinstance(value, dict) and len(value) > MAX_MEMBERS and not _is_free_form(path):
            raise InvalidRequest(f"must have at most {MAX_MEMBERS} fields.", field=_join_path(path))


def _is_free_form(path: _Path) -> bool:
    while path is not None:
        path, part = path
        if part in _FREE_FORM:
            return True
    return False


def _iter_containers(body: Any) -> Iterator[tuple[_Path, Any]]:
    """Yield each list and object with its location, without recursion."""
    waiting: list[tuple[_Path, Any]] = [(None, body)]
    while waiting:
        path, value = waiting.pop()
        yield path, value
        members = value.items() if isinstance(value, dict) else enumerate(value)
        waiting += [((path, name), member) for name, member in members if isinstance(member, dict | list)]


def check_depth(value: Any) -> Any:
    """Refuse a free-form object that is nested more than MAX_DEPTH deep."""
    if is_deeper(value, MAX_DEPTH):
        raise ValueError(f"must be nested at most {MAX_DEPTH} deep")
    return value


def _describe_first(errors: ValidationError, model: type[BaseModel]) -> InvalidRequest:
    """Return the first error to report, without the input, which may be of any size."""
    error = choose_error(errors.errors(include_url=False, include_context=True, include_input=False))
    path = _format_path(error["loc"])
    kind, message = error["type"], error["msg"]
    if kind == "string_pattern_mismatch":
        message = _PATTERN_SENTENCES[error["ctx"]["pattern"]]
    if kind == "extra_forbidden":
        return InvalidRequest.unknown(path, describe_unknown(model, error["loc"]))
    if kind == "missing":
        return InvalidRequest.missing(path)
    if kind == "union_tag_not_found":
        return InvalidRequest.missing(f"{path}.{_read_discriminator(error)}")
    if kind == "union_tag_invalid":
        return _refuse_tag(error, path)
    message = message.removeprefix("Value error, ").removeprefix("Input ").replace(" after validation", "")
    message = message[:1].lower() + message[1:]
    if not path:
        return InvalidRequest(f"{message[:1].upper()}{message[1:].rstrip('.')}.")
    return InvalidRequest(f"{message.rstrip('.')}.", field=path)


def _read_discriminator(error: Any) -> str:
    name: str = error["ctx"]["discriminator"]
    return name.strip("'")


def _refuse_tag(error: Any, path: str) -> InvalidRequest:
    name = _read_discriminator(error)
    expected = sorted(error["ctx"]["expected_tags"].replace("'", "").split(", "))
    if name == "role":
        return InvalidRequest(f"must be one of {', '.join(expected)}.", field=f"{path}.role")
    accepted = _ACCEPTED_PARTS if "image_url" in expected else " or ".join(expected)
    begin = f"{given} is not accepted; " if _PART_TYPE.fullmatch(given := str(error["ctx"]["tag"])) else ""
    return InvalidRequest(f"{begin}it must be {accepted}.", field=f"{path}.{name}")


def _format_path(location: tuple[int | str, ...]) -> str:
    """Return an error's location as a path in the client's body.

    Pydantic adds a message's role or a part's type after its index, and the branch of a union; both are removed.
    """
    parts = [
        str(part)
        for before, part in zip((None, *location), location, strict=False)
        if not (isinstance(before, int) and part in _TAGS) and not str(part).startswith(_TAG)
    ]
    return make_printable(".".join(parts), _MAX_PATH_CHARS)


def _explain_invalid_json(data: bytes) -> InvalidRequest:
    """Return the error for invalid JSON, naming a field with a lone surrogate, NaN or Infinity."""
    if len(data) > _MAX_EXPLAINED_BYTES:
        return InvalidRequest(_INVALID_JSON)
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return InvalidRequest(_INVALID_JSON)
    for path, value in in_turns(_iter_leaves(body)):
        if isinstance(value, float) and not math.isfinite(value):
            return InvalidRequest("must be a finite number.", field=_join_path(path))
        if isinstance(value, str) and not _is_unicode(value):
            return InvalidRequest("must not contain a lone surrogate.", field=_join_path(path))
    return InvalidRequest(_INVALID_JSON)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _iter_leaves(body: Any) -> Iterator[tuple[_Path, Any]]:
    """Yield each member name and each scalar value, with its location."""
    if not isinstance(body, dict | list):
        yield None, body
        return
    for path, container in _iter_containers(body):
        members = container.items() if isinstance(container, dict) else enumerate(container)
        for name, member in members:
            if isinstance(name, str):
                yield (path, "a name"), name
            if not isinstance(member, dict | list):
                yield (path, name), member


def _join_path(path: _Path) -> str:
    parts: list[str] = []
    while path is not None:
        path, part = path
        parts.append(str(part))
    return make_printable(".".join(reversed(parts)), _MAX_PATH_CHARS) or "The body"
