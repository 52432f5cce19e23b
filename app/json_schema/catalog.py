"""The schemas that the site keeps, each in a file whose name is the schema's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import orjson

from app.config import ConfigError
from app.config.formats import NAME_PATTERN
from app.json_schema.nesting import MAX_DEPTH, is_deeper
from app.json_schema.normalize import Normalized, normalize
from app.json_schema.strict_rules import InvalidSchema
from app.json_schema.validator import BoundedValidator

NamedSchemas = Mapping[str, Normalized]
"""What to send for each name."""


def load_schemas(folder: Path) -> NamedSchemas:
    """Read each `*.json` of a folder, which need not exist, and bring it into the strict subset.

    Raises:
        ConfigError: one cannot be read, is no JSON schema, or cannot be brought there; each such file is named.
    """
    schemas: dict[str, Normalized] = {}
    faults = []
    for file in sorted(folder.glob("*.json")):
        try:
            schemas[file.stem] = _load(file)
        except ValueError as error:
            faults.append(f"SCHEMAS_DIR: {file.name}: {error}")
        except OSError as error:
            faults.append(f"SCHEMAS_DIR: {file.name}: cannot be read: {error.strerror}.")
    if faults:
        raise ConfigError(faults)
    return schemas


def _load(file: Path) -> Normalized:
    if not re.fullmatch(NAME_PATTERN, file.stem):
        raise ValueError("its name must be 1 to 64 letters, digits, underscores or hyphens.")
    try:
        schema = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error}.") from None
    if not isinstance(schema, dict) or is_deeper(schema, MAX_DEPTH):
        raise ValueError(f"must be a JSON object, nested at most {MAX_DEPTH} deep.")
    normalized = normalize(schema)
    if normalized.faults:
        raise InvalidSchema(normalized.faults)
    BoundedValidator(schema)  # which answers are checked against
    return normalized


def json_schema_format(name: str, schema: dict[str, object], *, strict: bool) -> dict[str, object]:
    """OpenAI's `response_format`."""
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": strict}}
