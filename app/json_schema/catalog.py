"""Prepares the schemas to send: the site's own from SCHEMAS_DIR, by the names of their files, and those of callers."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from app.config import ConfigError
from app.config.formats import NAME_PATTERN
from app.json_schema.normalize import Normalized, normalize
from app.json_schema.size import MAX_DEPTH, is_deeper
from app.json_schema.strict_rules import InvalidSchema
from app.json_schema.validator import VALIDATORS
from app.json_schema.value_sets import WorkBudget

NamedSchemas = Mapping[str, Normalized]
"""The normalized schema of each name."""


def load_schemas(folder: Path) -> NamedSchemas:
    """Load and normalize each `*.json` of a folder, which need not exist.

    Raises:
        ConfigError: files cannot be read, are not JSON schemas, or cannot be normalized. It names each of them.
    """
    schemas: dict[str, Normalized] = {}
    problems = []
    for file in sorted(folder.glob("*.json")):
        try:
            schemas[file.stem] = _load(file)
        except ValueError as error:
            problems.append(f"SCHEMAS_DIR: {file.name}: {error}")
        except OSError as error:
            problems.append(f"SCHEMAS_DIR: {file.name}: cannot be read: {error.strerror}.")
    if problems:
        raise ConfigError(problems)
    return schemas


def _load(file: Path) -> Normalized:
    if not re.fullmatch(NAME_PATTERN, file.stem):
        raise ValueError("its name must be 1 to 64 letters, digits, underscores or hyphens.")
    try:
        schema = orjson.loads(file.read_bytes().removeprefix(codecs.BOM_UTF8))  # which editors on Windows write
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}.") from None
    if not isinstance(schema, dict) or is_deeper(schema, MAX_DEPTH):
        raise ValueError(f"must be a JSON object, nested at most {MAX_DEPTH} deep.")
    normalized = normalize(schema)
    if normalized.unresolved:
        raise InvalidSchema(normalized.unresolved)
    VALIDATORS.retain(schema)  # fails at the start if answers cannot be checked against it
    return normalized


def make_strict(
    schema: dict[str, Any], *, field: str = "schema", steps: WorkBudget | None = None
) -> dict[str, Any]:
    """Rewrite a caller's schema into the strict subset, without changing the answers that it allows.

    Args:
        schema: a schema as SDKs generate it, for example with annotations.
        field: its name in the request.
        steps: the budget of work, if several schemas share one.

    Raises:
        InvalidSchema: the schema cannot be rewritten into OpenAI's subset.
    """
    normalized = normalize(schema, exact=True, steps=steps)
    if normalized.unresolved:
        raise InvalidSchema(normalized.unresolved, field=field)
    return normalized.schema


def json_schema_format(name: str, schema: dict[str, object], *, strict: bool) -> dict[str, object]:
    """Return OpenAI's `response_format` for a schema."""
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": strict}}
