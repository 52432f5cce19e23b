"""POST /api/structured: a prompt, and the JSON schema that the answer shall fill."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from app.openai_service import ChatCall, StructuredResult
from app.schemas.chat import ChatRequest
from app.schemas.fields import JsonObject, MaxTokens, ModelName, Name, NonEmptyText, Temperature
from app.schemas.messages import Messages
from app.schemas.parsing import InvalidRequest, RequestModel
from app.schemas.prompting import SystemPrompts
from app.schemas.strict_schema import check_strict_schema

_JSON_MODE = {"type": "json_object"}
_JSON_MODE_PROMPT = "Answer with one JSON object and nothing else."


class StructuredRequest(RequestModel):
    messages: Messages | None = None
    prompt: NonEmptyText | None = None
    # `schema` itself is a name of pydantic's own.
    json_schema: Annotated[JsonObject | None, Field(alias="schema")] = None
    name: Name = "answer"
    strict: bool = True
    system_prompt: NonEmptyText | None = None
    model: ModelName | None = None
    temperature: Temperature | None = None
    max_tokens: MaxTokens | None = None

    def to_call(self, prompts: SystemPrompts, *, request_id: str) -> ChatCall:
        """What the service is asked to do.

        Raises:
            InvalidRequest, SchemaFault: the fields do not go together, or the schema cannot be used.
        """
        if self.messages is None and self.prompt is None:
            raise InvalidRequest("Missing prompt (or messages).")
        if self.messages is not None and self.prompt is not None:
            raise InvalidRequest("Give only one of messages and prompt.")
        if self.json_schema is not None and self.strict:
            check_strict_schema(self.json_schema)
        chat = ChatRequest.model_construct(
            messages=self.messages,
            message=self.prompt,
            system_prompt=self.system_prompt,
            model=self.model,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
        )
        call = chat.to_call(prompts, request_id=request_id, operation="structured")
        if self.json_schema is None:
            return replace(call, messages=_asking_for_json(call.messages), response_format=_JSON_MODE)
        asked = {"name": self.name, "schema": self.json_schema, "strict": self.strict}
        return replace(call, response_format={"type": "json_schema", "json_schema": asked})


def _asking_for_json(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """OpenAI refuses JSON mode where no message speaks of JSON."""
    if any("json" in (message.get("content") or "").lower() for message in messages):
        return messages
    return [{"role": "system", "content": _JSON_MODE_PROMPT}, *messages]


def structured_response(result: StructuredResult) -> dict[str, Any]:
    """{"data", "finishReason", "usage", "model", "id"}."""
    return {
        "data": result.data,
        "finishReason": result.finish_reason,
        "usage": result.usage,
        "model": result.model,
        "id": result.id,
    }
