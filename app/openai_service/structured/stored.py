"""AnswerFormat: the format of a structured answer, stored as JSON until the answer of a batch arrives hours later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.json_schema.optional_nulls import OriginalSchema
from app.openai_service.structured.checker import AnswerChecker


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """The format of a structured answer.

    Attributes:
        response_format: as it is sent to OpenAI.
        original: the schema to check against, if it differs from the one that is sent.
        changes: the changes that normalized the schema; None if that was not requested.
    """

    response_format: dict[str, Any] | None
    original: OriginalSchema | None
    changes: Sequence[str] | None

    def dump(self) -> str:
        """Return the format as JSON."""
        original = self.original.dump(self._sent_schema) if self.original is not None else None
        changes = None if self.changes is None else list(self.changes)
        return orjson.dumps([self.response_format, original, changes]).decode()

    @classmethod
    def load(cls, text: str) -> AnswerFormat:
        """Parse the JSON of dump()."""
        response_format, original, changes = orjson.loads(text)
        answer_format = cls(response_format, None, changes)
        return (
            answer_format
            if original is None
            else cls(response_format, OriginalSchema.load(answer_format._sent_schema, original), changes)
        )

    def make_checker(self) -> AnswerChecker:
        """Return a checker for the answer. Raises SchemaNotUsable if this version no longer accepts the schema."""
        return AnswerChecker(self.response_format, self.original)

    @property
    def _sent_schema(self) -> dict[str, Any]:
        assert self.response_format is not None, "only a schema has an original"
        schema: dict[str, Any] = self.response_format["json_schema"]["schema"]
        return schema
