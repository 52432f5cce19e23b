"""Compiles JSON Schemas with `jsonschema_rs`: offline, with patterns that match in linear time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jsonschema_rs

MAX_COMPILED_PATTERN_BYTES = 50_000


class _Ignored:
    """A keyword that is not checked."""

    def __init__(self, *_: Any) -> None:
        pass

    def validate(self, value: Any) -> None:
        """Accept any value."""


# A keyword of drafts before 2019. The engine would check it, but draft 2020-12 does not have it.
_IGNORED: dict[str, Any] = {"dependencies": _Ignored}


def compile_schema(
    schema: dict[str, Any], registry: jsonschema_rs.Registry | None = None
) -> jsonschema_rs.Draft202012Validator:
    """Compile a schema of draft 2020-12. The validator does not check `format`.

    Raises:
        jsonschema_rs.ValidationError: the schema is not valid, or has a pattern that the engine does not support.
    """
    # Imported on first use: most requests have no schema.
    import jsonschema_rs

    return jsonschema_rs.Draft202012Validator(
        schema,
        registry=registry,
        pattern_options=jsonschema_rs.RegexOptions(
            size_limit=MAX_COMPILED_PATTERN_BYTES, dfa_size_limit=MAX_COMPILED_PATTERN_BYTES
        ),
        keywords=_IGNORED,
        validate_formats=False,
        offline=True,
        mask="it",  # replaces the value in messages, since it may be long
    )
