"""What can go wrong with a JSON Schema itself."""

from __future__ import annotations

from app.problems import Problem


class SchemaNotUsable(Problem, ValueError):
    """The JSON Schema is invalid, or cannot be checked safely; the message says why."""

    status = 400
    code = "unsupported_schema"
    field = "schema"
    sentence = "cannot be used."
    message_is_safe = True


class CheckTooCostly(Exception):
    """Checking a value against the JSON Schema would take too long."""
