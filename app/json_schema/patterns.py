"""Which regular expressions of a JSON Schema are checked, and which are left to the model.

The linear-time engine has neither look-around nor back-references, and must be small once compiled to match in
bounded time. Folding the case of large ranges takes it long, so that no flags are compiled here.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from app.json_schema.engine import compile_schema
from app.json_schema.references import iter_parts

_MAX_CHARS = 1_000
# Compiling 1,000 characters takes up to 3 ms, and the shortest pattern 20 us.
_MAX_COST = 15_000
_COST_A_PATTERN = 100
_FLAGS = re.compile(r"\(\?[a-zA-Z-]+[:)]")
_PYTHONS_GROUP = re.compile(r"\(\?P(?=<)")
# The syntax has no bound on what it counts to, the engines do.
_UNCOUNTABLE = re.compile(r"\{\d*,?\d{10}")


class Patterns:
    """The patterns of one schema.

    Attributes:
        unchecked: those that are valid but cannot be checked in bounded time.
    """

    def __init__(self) -> None:
        self.unchecked: set[str] = set()
        self._seen: set[str] = set()
        self._cost = 0

    def add(self, pattern: str) -> str | None:
        """Say why a pattern is not usable, if it is not."""
        if pattern in self._seen:
            return None
        self._seen.add(pattern)
        if len(pattern) > _MAX_CHARS:
            return f"must be of at most {_MAX_CHARS} characters"
        self._cost += _COST_A_PATTERN + len(pattern)
        if self._cost > _MAX_COST or _FLAGS.search(pattern) or not _compiles(pattern):
            if not _is_ecma(pattern):
                return "must be a regular expression"
            self.unchecked.add(pattern)
        return None


def drop_patterns(schema: dict[str, Any], unwanted: set[str]) -> dict[str, Any]:
    """Return the schema without these patterns; the given one stays as it is."""
    if not unwanted:
        return schema
    schema = deepcopy(schema)
    for part in iter_parts(schema):
        if isinstance(part.get("pattern"), str) and part["pattern"] in unwanted:
            del part["pattern"]
    return schema


def _compiles(pattern: str) -> bool:
    import jsonschema_rs

    try:
        compile_schema({"pattern": pattern})
    except jsonschema_rs.ValidationError:
        return False
    return True


def _is_ecma(pattern: str) -> bool:
    """Say whether this is the syntax that JSON Schema has, or what Python and Rust add to it; compiles nothing."""
    import jsonschema_rs

    pattern = _FLAGS.sub(lambda flags: "(?:" if flags[0].endswith(":") else "", pattern)
    pattern = _PYTHONS_GROUP.sub("(?", pattern)
    syntax = jsonschema_rs.Draft202012Validator({"format": "regex"}, validate_formats=True, offline=True)
    return syntax.is_valid(pattern) and not _UNCOUNTABLE.search(pattern)
