"""Define Refusal, and build the refusals that several rules need, with OpenAI's messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Refusal:
    """The error response of OpenAI to a request that it does not accept."""

    message: str
    param: str | None
    code: str | None
    status: int = 400
    type: str = "invalid_request_error"

    @property
    def error(self) -> dict[str, Any]:
        """The error object, which is the field `error` of the response's body."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}


def refuse_unknown(name: str) -> Refusal:
    """Build the refusal of a parameter that the endpoint does not have."""
    return Refusal(f"Unknown parameter: '{name}'.", name, "unknown_parameter")


def refuse_parameter(name: str, hint: str = "") -> Refusal:
    """Build the refusal of a parameter that the endpoint has, and the model does not accept."""
    return Refusal(
        f"Unsupported parameter: '{name}' is not supported with this model.{hint}", name, "unsupported_parameter"
    )


def refuse_value(name: str, value: Any, supported: Sequence[str]) -> Refusal:
    """Build the refusal of a value that only other models accept."""
    message = f"Unsupported value: '{name}' does not support {quote(value)} with this model."
    return Refusal(f"{message} Supported values are: {enumerate_values(supported)}.", name, "unsupported_value")


def refuse_invalid(name: str, value: Any, supported: Sequence[str]) -> Refusal:
    """Build the refusal of a value that no model accepts."""
    return Refusal(
        f"Invalid value: {quote(value)}. Supported values are: {enumerate_values(supported)}.",
        name,
        "invalid_value",
    )


def refuse_missing(name: str) -> Refusal:
    """Build the refusal of a request without a required parameter."""
    return Refusal(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")


def quote(value: Any) -> str:
    """Format a value as OpenAI does: texts in single quotes, long values truncated."""
    return f"'{value[:100]}'" if isinstance(value, str) else str(value)[:100]


def enumerate_values(values: Sequence[str]) -> str:
    """Format values as a list: 'low', 'medium', and 'high'."""
    quoted = [f"'{value}'" for value in values]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"
