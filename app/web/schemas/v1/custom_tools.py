"""Define custom tools, whose input is a free text, for /v1/responses and for chat completions (nested)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict

from app.web.schemas.fields import MAX_TEXT_CHARS, Name, Text
from app.web.schemas.v1.fields import only
from app.web.schemas.validation import AS_OTHER, AS_TEXT

CUSTOM = "custom"
AS_CUSTOM = "(as custom)"
"""The tag of a custom tool, choice or call in a union with those of functions."""

_STRICT = ConfigDict(extra="forbid", strict=True)
_Description = Annotated[str, Field(max_length=10_000)]
_Definition = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)]
_Syntax = Literal["lark", "regex"]


class FreeText(TypedDict):
    """A format that allows any text."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["text"]


class Grammar(TypedDict):
    """A grammar that a text must match."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    definition: _Definition
    syntax: _Syntax


class GrammarOfChat(TypedDict):
    """A format with a grammar, in the form of chat completions."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["grammar"]
    grammar: Grammar


class GrammarOfResponses(TypedDict):
    """A format with a grammar, in the form of the Responses API."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["grammar"]
    definition: _Definition
    syntax: _Syntax


def _get_format_tag(form: Any) -> str:
    return AS_TEXT if isinstance(form, dict) and form.get("type") == "text" else AS_OTHER


_FreeText = Annotated[FreeText, Tag(AS_TEXT)]
_FormatOfChat = Annotated[_FreeText | Annotated[GrammarOfChat, Tag(AS_OTHER)], Discriminator(_get_format_tag)]
_FormatOfResponses = Annotated[
    _FreeText | Annotated[GrammarOfResponses, Tag(AS_OTHER)], Discriminator(_get_format_tag)
]


class CustomFields(TypedDict):
    """The declaration of a custom tool."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    name: Name
    description: NotRequired[_Description | None]
    format: NotRequired[_FormatOfChat | None]


class CustomTool(TypedDict):
    """A custom tool of chat completions, which the client runs."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["custom"]
    custom: CustomFields


class CustomToolOfResponses(TypedDict):
    """A custom tool of /v1/responses, which the client runs."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["custom"]
    name: Name
    description: NotRequired[_Description | None]
    format: NotRequired[_FormatOfResponses | None]
    allowed_callers: NotRequired[Annotated[Any, only(["direct"])]]
    defer_loading: NotRequired[Annotated[Any, only(False)]]
    is_async: NotRequired[Annotated[Any, Field(validation_alias="async"), only(False)]]


class CustomName(TypedDict):
    """The name of a custom tool."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    name: Name


class NamedCustom(TypedDict):
    """A tool choice of chat completions that names one custom tool."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["custom"]
    custom: CustomName


class NamedCustomOfResponses(CustomName):
    """A tool choice of /v1/responses that names one custom tool."""

    type: Literal["custom"]


class CustomInput(TypedDict):
    """The name and the input of a call."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    name: str
    input: str


class CustomCall(TypedDict):
    """A call of a custom tool in a turn of the model."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    id: Annotated[str, Field(min_length=1)]
    type: Literal["custom"]
    custom: CustomInput
    index: NotRequired[Any]


class CustomCallItem(TypedDict):
    """A call of a custom tool by the model, as an item of /v1/responses."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    type: Literal["custom_tool_call"]
    call_id: Annotated[str, Field(min_length=1)]
    name: str
    input: Text
    id: NotRequired[Any]
    status: NotRequired[Any]
    namespace: NotRequired[Any]
    caller: NotRequired[Any]
    is_async: NotRequired[Annotated[Any, Field(validation_alias="async")]]


def get_tool_tag(value: Any) -> str:
    """Return the tag of the union branch of a tool, a choice or a call: custom, or for all others a function."""
    return AS_CUSTOM if isinstance(value, dict) and value.get("type") == CUSTOM else AS_OTHER


def nest_custom(tool: CustomToolOfResponses) -> dict[str, Any]:
    """Return the tool in the form of chat completions."""
    fields: dict[str, Any] = {
        name: tool.get(name) for name in ("name", "description", "format") if tool.get(name) is not None
    }
    if (form := tool.get("format")) is not None and form["type"] == "grammar":
        grammar = {"definition": form["definition"], "syntax": form["syntax"]}
        fields["format"] = {"type": "grammar", "grammar": grammar}
    return {"type": CUSTOM, CUSTOM: fields}


def drop_nulls(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a custom tool of chat completions without null fields, which are the same as missing ones."""
    return {**tool, CUSTOM: {name: value for name, value in tool[CUSTOM].items() if value is not None}}
