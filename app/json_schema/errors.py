"""Errors of JSON Schemas."""

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
    """Validating a value against the JSON Schema would take too long."""
