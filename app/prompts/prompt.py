"""Define a stored prompt: a system text with placeholders for variables, and settings."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from app.config import ReasoningEffort, ServiceTier, Verbosity, formats
from app.problems import InvalidRequest
from app.prompts.parameters import Seed, StopTexts, TopP
from app.prompts.variable import Value, Variable, format_value

# This is not a template language: a value is inserted as plain text and never interpreted.
_PLACEHOLDER = re.compile(r"\{\{[ \t]*([A-Za-z_][A-Za-z0-9_]{0,63})[ \t]*\}\}")
_VARIABLE_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"


class InvalidVariable(InvalidRequest):
    """The value of a variable has the wrong type, or the prompt has no such variable."""


@lru_cache(maxsize=64)
def hash_text(text: str) -> str:
    """Return a short hash of a system text or prompt."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _strip(text: str) -> str:
    if not (text := text.strip()):
        raise ValueError("must not be empty")
    if "\0" in text:
        raise ValueError("must not contain the character NUL")
    return text


def _check_model(name: str) -> str:
    if problem := formats.check_model(name):
        raise ValueError(problem)
    return name


def _to_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Prompt(BaseModel):
    """A stored prompt: one file of PROMPTS_DIR.

    Attributes:
        system: the text, with {{name}} as the placeholder of a variable.
        model, temperature, answer_schema and all other settings: None leaves the choice to the request.
        max_tokens: the maximum tokens of an answer, if lower than MAX_TOKENS.
        tools: the names of server tools that the model may call.
        answer_schema: the name of the JSON schema that answers match.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    description: str = ""
    system: Annotated[str, AfterValidator(_strip)]
    model: Annotated[str, AfterValidator(_check_model)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    reasoning_effort: ReasoningEffort | None = None
    verbosity: Verbosity | None = None
    service_tier: ServiceTier | None = None
    stop: Annotated[StopTexts, BeforeValidator(_to_list)] | None = None
    top_p: TopP | None = None
    seed: Seed | None = None
    parallel_tool_calls: bool | None = None
    tools: Annotated[list[str], Field(min_length=1)] | None = None
    answer_schema: Annotated[str | None, Field(alias="schema")] = None
    variables: dict[Annotated[str, Field(pattern=_VARIABLE_NAME)], Variable] = {}

    @cached_property
    def digest(self) -> str:
        """A hash of the file's content, which changes with each new version."""
        return hash_text(self.model_dump_json())

    def check(self, values: Mapping[str, Any]) -> None:
        """Check the values of variables. Variables may be missing.

        Raises:
            InvalidVariable: a variable does not exist, or its value has the wrong type.
        """
        for name, value in values.items():
            variable = self.variables.get(name)
            if variable is None:
                raise InvalidVariable(f"this prompt has no variable {name[:64]!a}.", field="variables")
            if problem := variable.find_problem(value):
                raise InvalidVariable(f"{problem}.", field=f"variables.{name}")

    def fill(self, values: Mapping[str, Any]) -> str:
        """Return the text with each placeholder replaced by its value.

        Raises:
            InvalidVariable: a value is invalid, or a required variable is missing.
        """
        self.check(values)
        texts = {name: _get_text(name, variable, values) for name, variable in self.variables.items()}
        return _PLACEHOLDER.sub(lambda match: texts[match[1]], self.system)

    @model_validator(mode="after")
    def _check(self) -> Prompt:
        placeholders = set(_PLACEHOLDER.findall(self.system))
        if "{{" in _PLACEHOLDER.sub("", self.system):
            raise ValueError("system: a {{ does not begin a placeholder such as {{name}}")
        if unknown := sorted(placeholders - self.variables.keys()):
            raise ValueError(f"system: {{{{{unknown[0]}}}}} is not a variable of this prompt")
        if unused := sorted(self.variables.keys() - placeholders):
            raise ValueError(f"variables.{unused[0]}: has no placeholder in the system text")
        return self


def _get_text(name: str, variable: Variable, values: Mapping[str, Value]) -> str:
    if name in values:
        return format_value(values[name])
    if variable.is_required:
        raise InvalidVariable.missing(f"variables.{name}")
    return "" if variable.default is None else format_value(variable.default)
