"""Find the field that somebody meant who wrote one that does not exist: OpenAI's spelling of ours, or a typo."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

# OpenAI's names, and those of other APIs, whose meaning has another name here; the first that exists is meant.
_MEANT = {
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
_ELSEWHERE = {
    "stream": "streams have routes of their own, such as /api/chat/stream",
    "responseformat": "/api/structured answers by a schema",
}
_LIKENESS = 0.8
_MAX_CHARS = 64


def find_telling(errors: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the error to tell of a body: the first, but for a missing field what was written in its place, if anything."""
    first = errors[0]
    if first["type"] != "missing":
        return first
    place = first["loc"][:-1]
    return next(
        (error for error in errors if error["type"] == "extra_forbidden" and error["loc"][:-1] == place), first
    )


def describe_unknown(model: type[BaseModel], location: Sequence[int | str]) -> str:
    """Return a hint at what an unknown field may have meant, worded to follow a colon; "" if there is none.

    Args:
        model: of the body.
        location: of the field in it, as pydantic gives it.
    """
    unknown = str(location[-1])
    if len(unknown) > _MAX_CHARS:
        return ""
    names = {_simplify(name): name for name in _list_names(model, tuple(location[:-1]))}
    simple = _simplify(unknown)
    meant = names.get(simple) or next((name for name in _MEANT.get(simple, ()) if name in names.values()), None)
    if meant is None and simple in _ELSEWHERE:
        return _ELSEWHERE[simple] if "maxTokens" in names.values() else ""
    if meant is None:
        meant = next((names[near] for near in get_close_matches(simple, names, n=1, cutoff=_LIKENESS)), None)
    return f"did you mean {meant}?" if meant not in (None, unknown) else ""


def _simplify(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


@lru_cache(maxsize=256)
def _list_names(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return the names that an object of a body may have."""
    schema = _load_schema(model)
    parts = [schema]
    for step in location:
        found = [part for each in parts for part in _find_parts(schema, each)]
        inner = [part["items"] for part in found if isinstance(step, int) and "items" in part]
        inner += [part["properties"][step] for part in found if step in part.get("properties", ())]
        # Pydantic names the branch of a union as a step of its own.
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
    """Yield a part of a schema and all that it may stand for."""
    yield part
    if reference := part.get("$ref"):
        yield from _find_parts(schema, schema["$defs"][reference.rpartition("/")[2]])
    for name in ("anyOf", "oneOf", "allOf"):
        for branch in part.get(name, ()):
            yield from _find_parts(schema, branch)
