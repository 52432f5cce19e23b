"""Define `text` of /v1/responses: the format of the answer, which /v1/chat/completions calls `response_format`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from app.config import Verbosity
from app.web.schemas.fields import JsonObject, Name
from app.web.schemas.v1.fields import OpenAIModel
from app.web.schemas.v1.response_format import JsonObjectFormat, TextFormat

_STRICT = ConfigDict(extra="forbid", strict=True)


class JsonSchemaFormat(TypedDict):
    """JSON that matches a schema."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["json_schema"]
    name: Name
    schema: JsonObject
    description: NotRequired[Annotated[str, Field(max_length=10_000)] | None]
    strict: NotRequired[bool | None]


_Format = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class TextOptions(OpenAIModel):
    """The format of the answer, and its verbosity."""

    format: _Format | None = None
    verbosity: Verbosity | None = None

    def to_response_format(self) -> dict[str, Any] | None:
        """Return the format in the form of chat completions; None for text."""
        if self.format is None or self.format["type"] == "text":
            return None
        if self.format["type"] == "json_object":
            return {"type": "json_object"}
        given = {name: value for name, value in self.format.items() if name != "type" and value is not None}
        return {"type": "json_schema", "json_schema": given}

    def describe(self) -> dict[str, Any]:
        """Return the options as a response repeats them."""
        verbosity = {} if self.verbosity is None else {"verbosity": self.verbosity}
        return {"format": self.format or {"type": "text"}, **verbosity}
