"""Define the field types that several requests share, with their bounds."""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from app.config import ReasoningEffort, ServiceTier, Verbosity
from app.config.formats import NAME_PATTERN
from app.json_schema.size import is_deeper
from app.problems import InvalidRequest
from app.prompts.parameters import Seed, StopText, StopTexts, TopP
from app.web.schemas.validation import (
    AS_OTHER,
    AS_TEXT,
    NOT_BLANK_PATTERN,
    RequestModel,
    check_depth,
    get_union_tag,
)

# A long book is about 1 MB; one text from a page is far below that.
MAX_TEXT_CHARS = 500_000
# orjson reads 1,024 levels, and writes 254.
_MAX_WRITTEN_DEPTH = 200

Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
NonEmptyText = Annotated[str, Field(max_length=MAX_TEXT_CHARS, pattern=NOT_BLANK_PATTERN)]
ModelName = Annotated[str, Field(min_length=1, max_length=200)]
Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
MaxTokens = Annotated[int, Field(ge=1, le=10_000_000)]
Stop = Annotated[
    Annotated[StopText, Tag(AS_TEXT)] | Annotated[StopTexts, Tag(AS_OTHER)], Discriminator(get_union_tag)
]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Detail = Literal["low", "high", "auto", "original"]


def _check_writable(value: Any) -> Any:
    if is_deeper(value, _MAX_WRITTEN_DEPTH):
        raise ValueError(f"must be nested at most {_MAX_WRITTEN_DEPTH} deep")
    return value


def _refuse_true(value: Any) -> Any:
    if value is True:  # equals 1
        raise ValueError("should be 1")
    return value


JsonValue = Annotated[Any, AfterValidator(_check_writable)]
"""Any JSON value that is sent to the model."""
JsonObject = Annotated[dict[str, Any], AfterValidator(check_depth)]


class AnswerFields(RequestModel):
    """The model's parameters, in every body with a conversation."""

    model: ModelName | None = None
    temperature: Temperature | None = None
    max_tokens: MaxTokens | None = None
    reasoning_effort: ReasoningEffort | None = None
    verbosity: Verbosity | None = None
    service_tier: ServiceTier | None = None
    stop: Stop | None = None
    top_p: TopP | None = None
    seed: Seed | None = None
    parallel_tool_calls: bool | None = None
    # Accepted because OpenAI's clients send it; not sent to the model.
    n: Annotated[Literal[1], BeforeValidator(_refuse_true)] | None = None

    def list_values(self) -> dict[str, Any]:
        """Return the values by name, which are fields of ChatCall."""
        return dict(zip(_ANSWER_FIELDS, _get_values(self), strict=True))


_ANSWER_FIELDS = tuple(name for name in AnswerFields.model_fields if name != "n")
_get_values = attrgetter(*_ANSWER_FIELDS)


class StreamFields(RequestModel):
    """The field of every body whose answer can be a stream of events."""

    resumable: bool | None = None

    def refuse_to_resume(self) -> None:
        """Raise InvalidRequest if the client requests a resumable answer that is not a stream of events."""
        if self.resumable:
            raise InvalidRequest("only a stream of events can be resumed.", field="resumable")


class PromptFields(RequestModel):
    """The fields that select a stored prompt, in every body with a conversation."""

    prompt_name: Name | None = None
    variables: dict[str, Any] | None = None
