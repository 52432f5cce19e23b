"""Define a variable of a stored prompt, and check its values."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Value = str | int | float | bool

DEFAULT_MAX_LENGTH = 1_000
_MAX_LENGTH = 500_000
_TYPE_NAMES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}
_Bound = Annotated[float, Field(allow_inf_nan=False)]


class Variable(BaseModel):
    """One [variables.NAME] table of a prompt's file.

    Attributes:
        required: whether requests must set it. None means yes if it has no default.
        default: the value if the request does not set it. Without one, the placeholder is replaced by nothing.
        max_length: the maximum length of a string, in characters.
        minimum, maximum: inclusive bounds of a number.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    type: Literal["string", "integer", "number", "boolean"] = "string"
    description: str = ""
    required: bool | None = None
    default: Any = None
    choices: Annotated[list[Any], Field(min_length=1)] | None = None
    max_length: Annotated[int, Field(ge=1, le=_MAX_LENGTH)] | None = None
    minimum: Annotated[_Bound | None, Field(alias="min")] = None
    maximum: Annotated[_Bound | None, Field(alias="max")] = None

    @property
    def is_required(self) -> bool:
        """Whether a request must set the variable."""
        return self.default is None if self.required is None else self.required

    def find_problem(self, value: object) -> str | None:
        """Return why a value is invalid, as a phrase after the variable's name; None if it is valid."""
        if not self._is_of_type(value):
            return f"must be {_TYPE_NAMES[self.type]}"
        if self.choices is not None and value not in self.choices:
            return f"must be one of {', '.join(map(format_value, self.choices))}"
        if isinstance(value, str):
            return self._find_text_problem(value)
        if isinstance(value, int | float):
            if self.minimum is not None and value < self.minimum:
                return f"must be at least {self.minimum:g}"
            if self.maximum is not None and value > self.maximum:
                return f"must be at most {self.maximum:g}"
        return None

    def _is_of_type(self, value: object) -> bool:
        # In Python, True is an int.
        if isinstance(value, bool):
            return self.type == "boolean"
        if isinstance(value, str):
            return self.type == "string"
        if isinstance(value, int):
            return self.type in ("integer", "number")
        return isinstance(value, float) and self.type == "number" and math.isfinite(value)

    def _find_text_problem(self, value: str) -> str | None:
        if "\0" in value:
            return "must not contain the character NUL"
        max_length = self.max_length or (_MAX_LENGTH if self.choices else DEFAULT_MAX_LENGTH)
        return f"must have at most {max_length:,} characters" if len(value) > max_length else None

    @model_validator(mode="after")
    def _check(self) -> Variable:
        if self.max_length is not None and self.type != "string":
            raise ValueError("max_length is for texts only")
        if (self.minimum, self.maximum) != (None, None) and self.type not in ("integer", "number"):
            raise ValueError("min and max are for numbers only")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("min is more than max")
        if self.required and self.default is not None:
            raise ValueError("a required variable must not have a default")
        for choice in self.choices or ():
            if problem := self.find_problem(choice):
                raise ValueError(f"choices: each {problem}")
        if self.default is not None and (problem := self.find_problem(self.default)):
            raise ValueError(f"default: {problem}")
        return self


def format_value(value: Value) -> str:
    """Return a value as it is inserted into the text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
