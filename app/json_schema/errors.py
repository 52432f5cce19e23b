"""What can go wrong with a JSON Schema itself."""

from __future__ import annotations


class SchemaNotUsable(ValueError):
    """The JSON Schema is invalid, or cannot be checked safely. The message is one safe sentence."""


class CheckTooCostly(Exception):
    """Checking a value against the JSON Schema would take too long."""
