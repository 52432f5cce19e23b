"""Checking that an answer is what its JSON schema asks for, and what to tell the model when it is not."""

from __future__ import annotations

from typing import Any

import orjson

from app.json_schema.errors import CheckTooCostly
from app.json_schema.nesting import is_deeper
from app.json_schema.optional_nulls import OptionalNulls, OriginalSchema
from app.json_schema.validator import BoundedValidator
from app.openai_service.errors import ContentFiltered, Refused, Truncated, UnsupportedSchema
from app.openai_service.results import ChatResult
from app.openai_service.transport.request import PendingRequest

_MAX_DEPTH = 100


class InvalidAnswer(Exception):
    """The answer does not fit. The message says why, in words for the model: it can hold parts of the answer."""

    def build_repair_messages(self, answer: str) -> list[dict[str, Any]]:
        """Return the messages to add to the conversation so that the model can correct its answer."""
        demand = f"This does not fit: {self}. Answer again with the corrected JSON and nothing else."
        return [{"role": "assistant", "content": answer}, {"role": "user", "content": demand}]


class AnswerChecker:
    """Reads answers to one `response_format`, a JSON schema or JSON mode."""

    def __init__(self, response_format: dict[str, Any] | None, original: OriginalSchema | None = None) -> None:
        """Prepare to check answers.

        Args:
            response_format: OpenAI's, as it is sent; None is JSON mode.
            original: what answers shall fit, if not the very schema that is sent.

        Raises:
            SchemaNotUsable: the schema is not valid, or cannot be checked in bounded time.
        """
        asked = (response_format or {}).get("json_schema")
        self._schema = self._nulls = None
        if asked is not None:
            self._schema = BoundedValidator(original.schema if original else asked["schema"])
            self._nulls = OptionalNulls(asked["schema"], original) if original else None

    def read(self, result: ChatResult) -> Any:
        """Return the value that the model answered with.

        Raises:
            Refused, Truncated, ContentFiltered: there is none, and asking again would not change that.
            InvalidAnswer: it is no JSON, or not what the schema asks for.
            UnsupportedSchema: finding that out takes too long.
        """
        if result.refusal:
            raise Refused
        if result.finish_reason == "content_filter":
            raise ContentFiltered
        if result.finish_reason == "length":
            raise Truncated
        try:
            data = orjson.loads(result.text)
        except orjson.JSONDecodeError:
            raise InvalidAnswer("it is not valid JSON") from None
        if is_deeper(data, _MAX_DEPTH):
            raise InvalidAnswer(f"it is nested more than {_MAX_DEPTH} deep")
        if self._schema is None and not isinstance(data, dict):
            raise InvalidAnswer("it is not a JSON object")
        try:
            if self._nulls is not None:
                self._nulls.remove(data)
            fault = None if self._schema is None else self._schema.find_problem(data)
        except CheckTooCostly:
            raise UnsupportedSchema from None
        if fault is not None:
            raise InvalidAnswer(fault)
        return data


def request_repair(request: PendingRequest, unfit: InvalidAnswer, answer: str) -> None:
    """Make a request ask for the same again, rightly this time."""
    # The one that answered: another one may have asked to be left alone.
    request.models = request.models[request.models.index(request.record.models[-1]) :]
    messages = [*request.body["messages"], *unfit.build_repair_messages(answer)]
    request.replace_body({**request.body, "messages": messages})
