"""Suggest the field that a caller probably meant by an unknown one: OpenAI's name for a field, or a typo."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

# The names that OpenAI and other APIs use for a field, and its names here. The first one that the body has is suggested.
_ALIASES = {
    "maxtokens": ("max_output_tokens",),
    "maxcompletiontokens": ("maxTokens", "max_output_tokens"),
    "maxoutputtokens": ("maxTokens",),
    "maxnewtokens": ("maxTokens",),
    "responseformat": ("schema", "text"),
    "jsonschema": ("schema",),
    "functions": ("tools",),
    "functioncall": ("toolChoice",),
    "instructions": ("systemPrompt",),
    "system": ("systemPrompt",),
    "reasoning": ("reasoningEffort",),
    "reasoningeffort": ("reasoning",),
    "verbosity": ("text",),
    "messages": ("input",),
    "stopsequences": ("stop",),
    "input": ("messages", "prompt"),
    "prompt": ("message",),
    "message": ("prompt", "messages"),
    "usermessage": ("prompt", "messages"),
    "image": ("imageUrl",),
    "texts": ("input",),
}
_OTHER_ROUTES = {
    "stream": "streams have routes of their own, such as /api/chat/stream",
    "responseformat": "/api/structured answers by a schema",
}
_MIN_SIMILARITY = 0.8
_MAX_CHARS = 64


def choose_error(errors: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the validation error to report: the first.

    If that is a missing field, prefer an unknown field of the same object, which was probably meant for it.
    """
    first = errors[0]
    if first["type"] != "missing":
        return first
    parent = first["loc"][:-1]
    return next(
        (error for error in errors if error["type"] == "extra_forbidden" and error["loc"][:-1] == parent), first
    )


def describe_unknown(model: type[BaseModel], location: Sequence[int | str]) -> str:
    """Return a hint about an unknown field, worded to follow a colon; an empty text if there is none.

    Args:
        model: the request model of the body.
        location: the location of the field in the body, as pydantic reports it.
    """
    unknown = str(location[-1])
    if len(unknown) > _MAX_CHARS:
        return ""
    names = {_simplify(name): name for name in _list_names(model, tuple(location[:-1]))}
    simple = _simplify(unknown)
    meant = names.get(simple) or next((name for name in _ALIASES.get(simple, ()) if name in names.values()), None)
    if meant is None and simple in _OTHER_ROUTES:
        return _OTHER_ROUTES[simple] if "maxTokens" in names.values() else ""
    if meant is None:
        meant = next((names[near] for near in get_close_matches(simple, names, n=1, cutoff=_MIN_SIMILARITY)), None)
    return f"did you mean {meant}?" if meant not in (None, unknown) else ""


def _simplify(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


@lru_cache(maxsize=256)
def _list_names(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return the field names that the object at a location of a body may have."""
    schema = _load_schema(model)
    parts = [schema]
    for step in location:
        found = [part for each in parts for part in _find_parts(schema, each)]
        inner = [part["items"] for part in found if isinstance(step, int) and "items" in part]
        inner += [part["properties"][step] for part in found if step in part.get("properties", ())]
        # Pydantic adds a step to the location for the branch of a union.
        inner += [{"$ref": branches[step]} for part in found if step in (branches := _list_branches(part))]
        parts = inner or parts
    return tuple(
        name for each in parts for part in _find_parts(schema, each) for name in part.get("properties", ())
    )


@lru_cache(maxsize=64)
def _load_schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _list_branches(part: dict[str, Any]) -> dict[Any, str]:
    branches: dict[Any, str] = part.get("discriminator", {}).get("mapping", {})
    return branches


def _find_parts(schema: dict[str, Any], part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a part of a schema, the parts it refers to, and the branches of its unions."""
    yield part
    if reference := part.get("$ref"):
        yield from _find_parts(schema, schema["$defs"][reference.rpartition("/")[2]])
    for name in ("anyOf", "oneOf", "allOf"):
        for branch in part.get(name, ()):
            yield from _find_parts(schema, branch)
