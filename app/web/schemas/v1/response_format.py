"""Define `response_format`: text, any JSON object, or JSON that matches a schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from app.json_schema.errors import SchemaNotUsable
from app.json_schema.references import UnsatisfiableError
from app.json_schema.size import check_size
from app.json_schema.strict_rules import InvalidSchema, find_problems
from app.web.schemas.fields import JsonObject, Name

_STRICT = ConfigDict(extra="forbid", strict=True)


class TextFormat(TypedDict):
    """Text, which is the default."""

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
    description: NotRequired[Annotated[str, Field(max_length=10_000)]]
    schema: NotRequired[JsonObject]
    strict: NotRequired[bool | None]


class JsonSchemaFormat(TypedDict):
    """JSON that matches a schema."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


def check_response_format(response_format: Any) -> None:
    """Refuse a schema that the model would refuse as well, before anything is spent.

    Raises:
        SchemaNotUsable: it is too large.
        InvalidSchema: it is strict, and not within OpenAI's subset.
    """
    if response_format["type"] != "json_schema":
        return
    described = response_format["json_schema"]
    schema = described.get("schema")
    if schema is None:
        return
    try:
        check_size(schema)
    except UnsatisfiableError as error:
        raise SchemaNotUsable(f"schema: {error}.") from None
    if described.get("strict") and (problems := find_problems(schema)):
        raise InvalidSchema(problems)
