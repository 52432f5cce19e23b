"""Decide which regular expressions of a JSON Schema are checked here, and which only the model sees.

The linear-time engine has no look-around and no back-references, and matches in bounded time only if the compiled
pattern is small. Flags are never compiled: folding the case of large ranges takes too long.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from app.json_schema.engine import compile_schema
from app.json_schema.references import iter_subschemas

_MAX_CHARS = 1_000
# Compiling 1,000 characters takes up to 3 ms, and the shortest pattern 20 us.
_MAX_COST = 15_000
_COST_PER_PATTERN = 100
_FLAGS = re.compile(r"\(\?[a-zA-Z-]+[:)]")
# What JavaScript takes literally without its flag `u` (ECMA-262, annex B): a hyphen beside a class, an escaped letter or
# digit that means nothing, a brace that begins no count.
_LITERAL_HYPHEN = re.compile(r"(?<=\\[dDwWsS])-(?=[^\]])|-(?=\\[dDwWsS])")
_LITERAL_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\(?=[AaCEFGHhIiJjKLlMmNOoQqRTUVXYyZzge89])")
_LITERAL_BRACE = re.compile(r"(?<![\\pPukx])\{(?!\d+(?:,\d*)?\})[^{}]*\}?")
_PYTHON_GROUP = re.compile(r"\(\?P(?=<)")
# ECMA-262 does not limit repetition counts, engines do.
_HUGE_REPETITION = re.compile(r"\{\d*,?\d{10}")


class Patterns:
    """Collects the patterns of one schema.

    Attributes:
        unchecked: valid patterns that cannot be checked in bounded time.
    """

    def __init__(self) -> None:
        self.unchecked: set[str] = set()
        self._seen: set[str] = set()
        self._cost = 0

    def add(self, pattern: str) -> str | None:
        """Add a pattern; return why it cannot be used, or None."""
        if pattern in self._seen:
            return None
        self._seen.add(pattern)
        if len(pattern) > _MAX_CHARS:
            return f"must have at most {_MAX_CHARS} characters"
        self._cost += _COST_PER_PATTERN + len(pattern)
        if self._cost > _MAX_COST or _FLAGS.search(pattern) or not _can_compile(pattern):
            if not _is_valid_syntax(pattern):
                return "must be a regular expression"
            self.unchecked.add(pattern)
        return None


def drop_patterns(schema: dict[str, Any], unwanted: set[str]) -> dict[str, Any]:
    """Return the schema without these patterns. Does not change the given schema."""
    if not unwanted:
        return schema
    schema = deepcopy(schema)
    for part in iter_subschemas(schema):
        if isinstance(part.get("pattern"), str) and part["pattern"] in unwanted:
            del part["pattern"]
    return schema


def _can_compile(pattern: str) -> bool:
    import jsonschema_rs

    try:
        compile_schema({"pattern": pattern})
    except jsonschema_rs.ValidationError:
        return False
    return True


def _is_valid_syntax(pattern: str) -> bool:
    """Return whether a pattern is valid in JSON Schema's dialect, with the extensions of Python and Rust."""
    import jsonschema_rs

    pattern = _FLAGS.sub(lambda flags: "(?:" if flags[0].endswith(":") else "", pattern)
    pattern = _PYTHON_GROUP.sub("(?", pattern)
    syntax = jsonschema_rs.Draft202012Validator({"format": "regex"}, validate_formats=True, offline=True)
    if _HUGE_REPETITION.search(pattern):
        return False
    return syntax.is_valid(pattern) or syntax.is_valid(_drop_literals(pattern))


def _drop_literals(pattern: str) -> str:
    """Return a pattern of the same validity without what JavaScript takes literally."""
    pattern = _LITERAL_HYPHEN.sub(r"\-", pattern)
    return _LITERAL_BRACE.sub("", _LITERAL_ESCAPE.sub(r"\1", pattern))
