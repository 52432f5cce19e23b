"""Define `response_format`: text, any JSON object, or JSON that matches a schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from app.json_schema.catalog import make_strict
from app.json_schema.errors import SchemaNotUsable
from app.json_schema.references import UnsatisfiableError
from app.json_schema.size import check_size
from app.web.schemas.fields import JsonObject, Name

_STRICT = ConfigDict(extra="forbid", strict=True)


class TextFormat(TypedDict):
    """Text, the default."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["text"]


class JsonObjectFormat(TypedDict):
    """Any JSON object. The conversation must mention JSON."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["json_object"]


class JsonSchema(TypedDict):
    """A schema and its name."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    name: Name
    description: NotRequired[Annotated[str, Field(max_length=10_000)] | None]
    schema: NotRequired[JsonObject]
    strict: NotRequired[bool | None]


class JsonSchemaFormat(TypedDict):
    """JSON that matches a schema."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


def read_response_format(response_format: Any) -> Any:
    """Return the format, with a strict schema normalized.

    A schema that OpenAI would refuse is refused here, before anything is billed.

    Raises:
        SchemaNotUsable: the schema is too large.
        InvalidSchema: the schema is strict, and outside of OpenAI's subset.
    """
    described = (response_format or {}).get("json_schema", {})
    schema = described.get("schema")
    if schema is None:
        return response_format
    try:
        check_size(schema)
    except UnsatisfiableError as error:
        raise SchemaNotUsable(f"schema: {error}.") from None
    if not described.get("strict"):
        return response_format
    return {**response_format, "json_schema": {**described, "schema": make_strict(schema)}}
