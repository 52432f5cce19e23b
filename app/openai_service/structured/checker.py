"""AnswerChecker: checks an answer against its JSON schema; builds the request that repairs an invalid one."""

from __future__ import annotations

from typing import Any

from app.json_schema.errors import CheckTooCostly
from app.json_schema.optional_nulls import OptionalNulls, OriginalSchema
from app.json_schema.size import is_deeper
from app.json_schema.validator import VALIDATORS
from app.openai_service.answers.text import read_json
from app.openai_service.errors import ContentFiltered, Refused, Truncated, UnsupportedSchema
from app.openai_service.results import ChatResult
from app.openai_service.transport.request import PendingRequest

_MAX_DEPTH = 100


class InvalidAnswer(Exception):
    """The answer does not match the schema. The message is sent to the model, and may contain parts of the answer."""

    def build_repair_messages(self, answer: str) -> list[dict[str, Any]]:
        """Return the messages that ask the model to correct its answer, to be appended to the conversation."""
        instruction = f"This does not fit: {self}. Answer again with the corrected JSON and nothing else."
        return [{"role": "assistant", "content": answer}, {"role": "user", "content": instruction}]


class AnswerChecker:
    """Checks answers to one `response_format`: a JSON schema, or JSON mode."""

    def __init__(self, response_format: dict[str, Any] | None, original: OriginalSchema | None = None) -> None:
        """Prepare to check answers.

        Args:
            response_format: as it is sent to OpenAI; None is JSON mode.
            original: the schema to check against, if it differs from the one that is sent.

        Raises:
            SchemaNotUsable: the schema is not valid, or cannot be checked in bounded time.
        """
        sent = (response_format or {}).get("json_schema")
        self._schema = self._nulls = None
        if sent is not None:
            self._schema = VALIDATORS.get(original.schema if original else sent["schema"])
            self._nulls = OptionalNulls(sent["schema"], original) if original else None

    def read(self, result: ChatResult) -> Any:
        """Return the checked value of an answer.

        Raises:
            Refused, Truncated, ContentFiltered: the answer has no value, and a repair cannot help.
            InvalidAnswer: the answer is not JSON, or does not match the schema.
            UnsupportedSchema: the check takes too long.
        """
        if result.refusal:
            raise Refused
        if result.finish_reason == "content_filter":
            raise ContentFiltered
        if result.finish_reason == "length":
            raise Truncated
        try:
            data = read_json(result.text)
        except ValueError:
            raise InvalidAnswer("it is not valid JSON") from None
        if is_deeper(data, _MAX_DEPTH):
            raise InvalidAnswer(f"it is nested more than {_MAX_DEPTH} deep")
        if self._schema is None and not isinstance(data, dict):
            raise InvalidAnswer("it is not a JSON object")
        try:
            if self._nulls is not None:
                self._nulls.remove(data)
            problem = None if self._schema is None else self._schema.find_problem(data)
        except CheckTooCostly:
            raise UnsupportedSchema from None
        if problem is not None:
            raise InvalidAnswer(problem)
        return data


def request_repair(request: PendingRequest, error: InvalidAnswer, answer: str) -> None:
    """Change a request so that it asks the model to correct its answer."""
    # Start with the model that answered, since the circuits of those before it may be open.
    request.models = request.models[request.models.index(request.record.models[-1]) :]
    messages = [*request.body["messages"], *error.build_repair_messages(answer)]
    request.replace_body({**request.body, "messages": messages})
