"""Define the request and response bodies of POST /api/structured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field, model_validator

from app.json_schema.catalog import NamedSchemas, json_schema_format
from app.json_schema.errors import SchemaNotUsable
from app.json_schema.normalize import Normalized, normalize
from app.json_schema.references import UnsatisfiableError
from app.json_schema.size import check_size
from app.json_schema.strict_rules import InvalidSchema
from app.openai_service import ChatCall, Done, OriginalSchema, StructuredResult
from app.problems import InvalidRequest
from app.prompts.selection import NOT_WITH_PROMPT, Conversation, PromptSelection
from app.web.media.intake import MediaIntake
from app.web.media.parts import list_texts
from app.web.schemas.chat import build_chat_call, build_end, build_messages
from app.web.schemas.fields import AnswerFields, JsonObject, Name, NonEmptyText, StreamFields
from app.web.schemas.messages import ConversationRequest

_JSON_MODE = {"type": "json_object"}
_JSON_MODE_PROMPT = "Answer with one JSON object and nothing else."
_SCHEMA_FIELDS = {
    "json_schema": "schema",
    "schema_name": "schemaName",
    "name": "name",
    "strict": "strict",
    "normalize": "normalize",
}
_FORMAT_MEMBERS = {"name", "description", "schema", "strict"}
_NORMALIZE_HINT = 'With "normalize": true this is fixed for you.'


@dataclass(frozen=True, slots=True)
class StructuredCall:
    """A structured call to the service.

    Attributes:
        original: the schema that the answer must match, if another one is sent to the model.
        normalized: the changes of normalization; None if it was not requested.
    """

    call: ChatCall
    original: OriginalSchema | None = None
    normalized: Sequence[str] | None = None


class StructuredRequest(AnswerFields, ConversationRequest, StreamFields):
    """The body of POST /api/structured."""

    prompt: NonEmptyText | None = None
    # pydantic itself uses the name `schema`.
    json_schema: Annotated[JsonObject | None, Field(alias="schema")] = None
    schema_name: Name | None = None
    name: Name = "answer"
    strict: bool = True
    normalize: bool = False
    system_prompt: NonEmptyText | None = None
    cache: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _unwrap(cls, body: Any) -> Any:
        return unwrap_response_format(body) if isinstance(body, dict) else body

    def to_structured_call(
        self, prompts: PromptSelection, named: NamedSchemas, media: MediaIntake, *, request_id: str
    ) -> StructuredCall:
        """Build the structured call.

        Raises:
            InvalidRequest, InvalidSchema: the fields contradict each other, or the schema cannot be used.
            Other errors: see MediaIntake.prepare().
        """
        if self.messages is None and self.prompt is None:
            raise InvalidRequest("Missing prompt (or messages).")
        if self.messages is not None and self.prompt is not None:
            raise InvalidRequest("Give only one of messages and prompt.")
        prompt = prompts.select(self)
        if prompts.overrides("answer_schema", prompt):
            self._reject_schema_fields()
        schema = self._read_schema(named)
        response_format = None
        if schema is not None:
            name = self.schema_name if self.schema_name and "name" not in self.model_fields_set else self.name
            response_format = json_schema_format(name, schema.schema, strict=self.strict)
        media.prepare(self, "structured", self.model, prompts)
        conversation = Conversation(
            build_messages(self.messages, self.prompt),
            request_id,
            "structured",
            self.system_prompt,
            adjusted=media.adjusted,
        )
        settings = {
            **self.list_values(),
            "response_format": response_format,
            "may_be_cached": bool(self.cache),
        }
        call = build_chat_call(conversation, settings, self, prompts)
        if prompt is not None and prompt.answer_schema:
            schema = named[prompt.answer_schema]
        if schema is None:
            return StructuredCall(
                replace(call, messages=_add_json_instruction(call.messages), response_format=_JSON_MODE)
            )
        return StructuredCall(call, schema.original, schema.changes if self.normalize else None)

    def _reject_schema_fields(self) -> None:
        for field, alias in _SCHEMA_FIELDS.items():
            if field in self.model_fields_set and getattr(self, field) is not None:
                raise InvalidRequest(NOT_WITH_PROMPT, field=alias)

    def _read_schema(self, named: NamedSchemas) -> Normalized | None:
        schema, name = self.json_schema, self.schema_name
        if schema is not None and name is not None:
            raise InvalidRequest("Give only one of schema and schemaName.")
        if self.normalize and not self.strict:
            raise InvalidRequest("needs strict to be true.", field="normalize")
        if name is not None:
            if name not in named:
                raise InvalidRequest(f"there is no schema {name} here.", field="schemaName")
            if not self.strict:
                raise InvalidRequest("a named schema is always strict.", field="strict")
            return named[name]
        if schema is None:
            if self.normalize:
                raise InvalidRequest("needs a schema.", field="normalize")
            return None
        try:
            check_size(schema)
        except UnsatisfiableError as error:
            raise SchemaNotUsable(f"schema: {error}.") from None
        if not self.strict:
            return Normalized(schema)
        normalized = normalize(schema, exact=not self.normalize)
        if normalized.unresolved:
            can_be_normalized = not self.normalize and not normalize(schema).unresolved
            raise InvalidSchema(normalized.unresolved, _NORMALIZE_HINT if can_be_normalized else "")
        return normalized


def unwrap_response_format(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body with the schema only, if its `schema` is a complete `response_format` of OpenAI's SDKs.

    The Responses API's format has the same members one level higher. Fields of the body override members of the
    format.
    """
    given = body.get("schema")
    if not isinstance(given, dict):
        return body
    if given == _JSON_MODE:
        return {**body, "schema": None}
    inner = given.get("json_schema", given)
    is_format = given.get("type") == "json_schema" or given.keys() <= _FORMAT_MEMBERS
    if not is_format or not isinstance(inner, dict) or not isinstance(inner.get("schema"), dict):
        return body
    chosen = {key: inner[key] for key in ("name", "strict") if inner.get(key) is not None}
    return {**chosen, **body, "schema": inner["schema"]}


def _add_json_instruction(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add a system text that mentions JSON, if no message does. OpenAI requires it for JSON mode."""
    if any("json" in text.lower() for text in list_texts(messages)):
        return messages
    return [{"role": "system", "content": _JSON_MODE_PROMPT}, *messages]


def build_structured_response(
    data: Any, end: StructuredResult | Done, normalized: Sequence[str] | None
) -> dict[str, Any]:
    """Return {"data", "finishReason", "usage", "model", "id"}, and if any "cached", "normalized", "trimmed"."""
    body = {"data": data, **build_end(end)}
    if end.is_cached:
        body["cached"] = True
    if normalized is not None:
        body["normalized"] = normalized
    if end.trimmed:
        body["trimmed"] = end.trimmed
    return body
