"""Decides which regular expressions of a JSON Schema are checked here, and which are only sent to the model.

The linear-time engine supports no look-around and no back-references, and matches in bounded time only if the compiled
pattern is small. Patterns with flags are never compiled: case-folding large ranges takes too long.
"""

from __future__ import annotations

import re
from typing import Any

from app.json_schema.engine import compile_schema
from app.json_schema.references import copy_schema, iter_subschemas

_MAX_CHARS = 1_000
# Compiling 1,000 characters takes up to 3 ms, and the shortest pattern 20 us. Those that are too large when compiled
# take longest: their characters count threefold.
_MAX_COST = 15_000
_COST_PER_PATTERN = 100
_EXTRA_COST_OF_UNCHECKED = 2
_FLAGS = re.compile(r"\(\?[a-zA-Z-]+[:)]")
# Characters that JavaScript treats as literals without its flag `u` (ECMA-262, annex B): a hyphen next to a class, an
# escaped letter or digit without a meaning, and a brace that does not begin a quantifier.
_LITERAL_HYPHEN = re.compile(r"(?<=\\[dDwWsS])-(?=[^\]])|-(?=\\[dDwWsS])")
_LITERAL_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\(?=[AaCEFGHhIiJjKLlMmNOoQqRTUVXYyZzge89])")
_LITERAL_BRACE = re.compile(r"(?<![\\pPukx])\{(?!\d+(?:,\d*)?\})[^{}]*\}?")
_PYTHON_GROUP = re.compile(r"\(\?P(?=<)")
# ECMA-262 does not limit repetition counts, but engines do.
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
        """Add a pattern. Return why it cannot be used, or None."""
        if pattern in self._seen:
            return None
        self._seen.add(pattern)
        if len(pattern) > _MAX_CHARS:
            return f"must have at most {_MAX_CHARS} characters"
        self._cost += _COST_PER_PATTERN + len(pattern)
        if self._cost > _MAX_COST or _FLAGS.search(pattern) or not _can_compile(pattern):
            if not _is_valid_syntax(pattern):
                return "must be a regular expression"
            self._cost += _EXTRA_COST_OF_UNCHECKED * len(pattern)
            self.unchecked.add(pattern)
        return None


def drop_patterns(schema: dict[str, Any], unwanted: set[str]) -> dict[str, Any]:
    """Return a copy of the schema without these patterns; the schema itself if there are none."""
    if not unwanted:
        return schema
    schema = copy_schema(schema)
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
    """Return an equally valid pattern without characters that only JavaScript treats as literals."""
    pattern = _LITERAL_HYPHEN.sub(r"\-", pattern)
    return _LITERAL_BRACE.sub("", _LITERAL_ESCAPE.sub(r"\1", pattern))
