"""Define the base class of OpenAI-compatible bodies, and a check for parameters with few supported values."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict
from pydantic.alias_generators import to_camel

from app.web.media.parts import JOINED_TEXT
from app.web.schemas.fields import Text
from app.web.schemas.validation import RequestModel


def _empty_if_blank(text: str) -> str:
    return text if text.strip() else ""


SystemText = Annotated[Text, JOINED_TEXT, AfterValidator(_empty_if_blank)]
"""A system or developer text.

Agents without one send an empty text, which OpenAI accepts; such a turn is omitted.
"""


def _name(field: str) -> str:
    """Return the name of a field: in snake_case, or as at /api for a field that OpenAI does not have."""
    return to_camel(field) if field == "prompt_name" else field


class OpenAIModel(RequestModel):
    """A body with OpenAI's field names.

    It must be the last base class, so that its names apply to inherited fields.
    """

    model_config = ConfigDict(alias_generator=_name)


def only(*values: object, instead: str = "") -> AfterValidator:
    """Return a validator for a parameter that may be missing, null, or one of these values.

    Args:
        values: the values that request the behaviour that the server has anyway.
        instead: a hint for callers who send another value.
    """

    def check(value: Any) -> Any:
        if value is not None and not any(value == each and type(value) is type(each) for each in values):
            raise ValueError("is not supported here" + (f": {instead}" if instead else ""))
        return value

    return AfterValidator(check)
