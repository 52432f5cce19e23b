"""Define the base of OpenAI's bodies, and the check of parameters of which only some values are served."""

from __future__ import annotations

from typing import Any

from pydantic import AfterValidator, ConfigDict

from app.web.schemas.validation import RequestModel


class OpenAIModel(RequestModel):
    """A body with OpenAI's names, which are in snake_case."""

    model_config = ConfigDict(alias_generator=None)


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
