"""AnswerFormat: what an answer is checked against, kept as JSON until the answer arrives hours later."""

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
        response_format: OpenAI's, as it is sent.
        original: the schema to check against, if it is not the one that is sent.
        changes: how the schema was normalized; None if that was not requested.
    """

    response_format: dict[str, Any] | None
    original: OriginalSchema | None
    changes: Sequence[str] | None

    def dump(self) -> str:
        """Return this as JSON."""
        original = self.original.dump(self._sent) if self.original is not None else None
        changes = None if self.changes is None else list(self.changes)
        return orjson.dumps([self.response_format, original, changes]).decode()

    @classmethod
    def load(cls, text: str) -> AnswerFormat:
        """Return what was dumped."""
        response_format, dumped, changes = orjson.loads(text)
        without = cls(response_format, None, changes)
        return (
            without
            if dumped is None
            else cls(response_format, OriginalSchema.load(without._sent, dumped), changes)
        )

    def make_checker(self) -> AnswerChecker:
        """Return what checks an answer. Raises SchemaNotUsable if this version no longer accepts the schema."""
        return AnswerChecker(self.response_format, self.original)

    @property
    def _sent(self) -> dict[str, Any]:
        assert self.response_format is not None, "only a schema has an original"
        schema: dict[str, Any] = self.response_format["json_schema"]["schema"]
        return schema
