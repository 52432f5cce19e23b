"""Define the base of OpenAI's bodies, and the check of parameters of which only some values are served."""

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
"""A system or developer text. Agents that have none send an empty one, which OpenAI takes; such a turn is left out."""


def _name(field: str) -> str:
    """Return the name of a field: OpenAI's, which are in snake_case, or that of /api for what OpenAI does not have."""
    return to_camel(field) if field == "prompt_name" else field


class OpenAIModel(RequestModel):
    """A body with OpenAI's names. As a base it comes last, so that its names go for the fields of the others."""

    model_config = ConfigDict(alias_generator=_name)


def only(*values: object, instead: str = "") -> AfterValidator:
    """Return the check of a parameter that may be left out, be null, or have one of these values.

    Args:
        values: that mean what happens anyway.
        instead: what a caller can do who wants another one.
    """

    def check(value: Any) -> Any:
        if value is not None and not any(value == each and type(value) is type(each) for each in values):
            raise ValueError("is not supported here" + (f": {instead}" if instead else ""))
        return value

    return AfterValidator(check)
