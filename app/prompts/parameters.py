"""Define the types of model parameters, with their bounds, for prompts and requests."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

_MAX_STOPS = 4
_MAX_STOP_CHARS = 500

StopText = Annotated[str, Field(min_length=1, max_length=_MAX_STOP_CHARS)]
StopTexts = Annotated[list[StopText], Field(min_length=1, max_length=_MAX_STOPS)]
TopP = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
