"""Read the OpenAPI document for the page at /docs: its routes by tag, and its errors."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.web.openapi.schema import Schema

_MAX_WORDS = 60
_ERROR = re.compile("- `(?P<code>[a-z_]+)`: (?P<meaning>.*)")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a body, or a parameter: its name, its type in words, and whether it is required."""

    name: str
    kind: str
    is_required: bool
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """A method of a route, as the page shows it."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Field]
    bodies: list[tuple[str, list[Field]]]
    command: str
    answers: list[tuple[str, str]]


def list_sections(document: Mapping[str, Any]) -> list[tuple[str, list[Route]]]:
    """Return the routes by tag, in the order of the document."""
    models = document["components"]["schemas"]
    sections: dict[str, list[Route]] = defaultdict(list)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            sections[operation["tags"][0]].append(_read_route(path, method.upper(), operation, models))
    return list(sections.items())


def list_errors(document: Mapping[str, Any]) -> list[tuple[str, str, list[str]]]:
    """Return each status and code of an error, and its meanings. The page lists them once for all routes."""
    meanings: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, code, meaning in _read_errors(operation):
                if code:
                    meanings[status, code][meaning] = None
    return [(status, code, list(lines)) for (status, code), lines in sorted(meanings.items())]


def _read_errors(operation: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the status, the code and the meaning of each error. Those of `/readyz` have no code."""
    for status, each in sorted(operation["responses"].items()):
        if status < "400":
            continue
        for line in each["description"].splitlines():
            named = _ERROR.fullmatch(line)
            yield (status, named["code"], named["meaning"]) if named else (status, "", line)


def _read_route(path: str, method: str, operation: Mapping[str, Any], models: Mapping[str, Schema]) -> Route:
    content = operation.get("requestBody", {}).get("content", {})
    successes = {status: each for status, each in operation["responses"].items() if status < "400"}
    return Route(
        anchor=operation["operationId"],
        method=method,
        path=path,
        summary=operation["summary"],
        description=operation.get("description", ""),
        parameters=[
            Field(each["name"], each["in"], each.get("required", False), each.get("description", ""))
            for each in operation["parameters"]
        ],
        bodies=[
            (kind, _list_fields(model, models))
            for kind, media in content.items()
            for model in _resolve(media["schema"], models)
        ],
        command=_make_command(method, path, content.get("application/json", {}).get("example")),
        answers=[
            (f"{status} {kind}".strip(), media.get("schema", {}).get("description", ""))
            for status, each in successes.items()
            for kind, media in (each.get("content") or {"": {}}).items()
        ]
        + [(status, meaning) for status, code, meaning in _read_errors(operation) if not code],
    )


def _resolve(schema: Schema, models: Mapping[str, Schema]) -> Iterator[Schema]:
    """Yield the models that a schema refers to."""
    if "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _resolve(each, models)
    elif "$ref" in schema:
        yield models[schema["$ref"].rsplit("/", 1)[1]]
    else:
        yield schema


def _list_fields(model: Schema, models: Mapping[str, Schema]) -> list[Field]:
    required = model.get("required", ())
    fields = [
        Field(name, _name_type(schema, models), name in required)
        for name, schema in model.get("properties", {}).items()
    ]
    return sorted(fields, key=lambda field: not field.is_required)


def _name_type(schema: Schema, models: Mapping[str, Schema]) -> str:
    """Return a schema's type in a few words."""
    if "anyOf" in schema or "oneOf" in schema:
        kinds = [_name_type(each, models) for each in schema.get("anyOf") or schema["oneOf"]]
        return _shorten(" or ".join(dict.fromkeys(kind for kind in kinds if kind != "null")) or "any")
    if "$ref" in schema:
        target = models[schema["$ref"].rsplit("/", 1)[1]]
        return "object" if "properties" in target else _name_type(target, models)
    if "enum" in schema or "const" in schema:
        return _shorten(", ".join(json.dumps(each) for each in schema.get("enum", [schema.get("const")])))
    if schema.get("type") == "array":
        return f"list of {_name_type(schema.get('items', {}), models)}"
    return _shorten(f"{schema.get('type', 'any')}{_name_bounds(schema)}")


def _name_bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None and high is None:
        return ""
    if low is None:
        return f", at most {high:,}"
    return f", at least {low:,}" if high is None else f", {low:,} to {high:,}"


def _shorten(words: str) -> str:
    return words if len(words) <= _MAX_WORDS else f"{words[:_MAX_WORDS]}…"


def _make_command(method: str, path: str, example: Any) -> str:
    is_plain = method == "GET" or (method == "POST" and example is not None)
    begin = "curl" if is_plain else f"curl -X {method}"
    if example is None:
        return f"{begin} https://your-server{path}"
    body = json.dumps(example).replace("'", "'\\''")
    return f"{begin} https://your-server{path} \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'"
