"""Define the field types that several requests share, with their bounds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from app.config.formats import NAME_PATTERN
from app.web.schemas.validation import NOT_BLANK_PATTERN, RequestModel, check_depth

# A long book is about 1 MB; one text from a page is far below that.
MAX_TEXT_CHARS = 500_000

Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
NonEmptyText = Annotated[str, Field(max_length=MAX_TEXT_CHARS, pattern=NOT_BLANK_PATTERN)]
ModelName = Annotated[str, Field(min_length=1, max_length=200)]
Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
MaxTokens = Annotated[int, Field(ge=1, le=10_000_000)]
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Detail = Literal["low", "high", "auto"]
JsonObject = Annotated[dict[str, Any], AfterValidator(check_depth)]


class PromptFields(RequestModel):
    """The fields that select a stored prompt, in every body with a conversation."""

    prompt_name: Name | None = None
    variables: dict[str, Any] | None = None
