"""Define the bodies of /api/limits.

A limit is a number or a rate, "none" for no limit, or null for the settings' default.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from app.limits.account_names import AccountName
from app.limits.own_limits import NO_LIMIT, InvalidLimit, OwnLimits, format_rate
from app.limits.rate_limiter import Rate
from app.problems import InvalidRequest
from app.web.schemas.validation import RequestModel

_MICRO = 1_000_000


def _to_text(value: Any) -> str | None:
    """Return a limit as a text for OwnLimits.parse(), which reports an invalid form."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number, a text or null")
    return str(value) if isinstance(value, int) else f"{value:.9f}".rstrip("0").rstrip(".")


_Limit = Annotated[str | None, BeforeValidator(_to_text), WithJsonSchema({"type": ["number", "string", "null"]})]


class LimitsRequest(RequestModel):
    """The body of PUT /api/limits/<kind>/<id>: all limits set for the account."""

    request_rate: Annotated[_Limit, Field(description='Requests per window: "60/minute".')] = None
    token_rate: Annotated[_Limit, Field(description='Tokens per window: "100000/day".')] = None
    concurrent_streams: Annotated[_Limit, Field(description="Streams at the same time.")] = None
    budget_usd: Annotated[_Limit, Field(description="Dollars in each day or month (BUDGET_WINDOW).")] = None
    budget_tokens: Annotated[_Limit, Field(description="Tokens in each day or month.")] = None

    def to_limits(self) -> OwnLimits:
        """Return the limits.

        Raises:
            InvalidRequest: one of them has an invalid form.
        """
        try:
            return OwnLimits.parse(self.model_dump())
        except InvalidLimit as error:
            raise InvalidRequest(str(error), field=to_camel(error.field)) from None


def build_limits_response(account: AccountName, own: OwnLimits, defaults: OwnLimits) -> dict[str, Any]:
    """Return {"kind", "tenant", "id", "limits", "defaults"}."""
    return {
        "kind": account.kind,
        "tenant": account.tenant,
        "id": account.id,
        "limits": format_limits(own),
        "defaults": format_limits(defaults),
    }


def format_limits(limits: OwnLimits) -> dict[str, Any]:
    """Return the limits by their names in JSON, each in the form that a request accepts."""
    return {
        "requestRate": _format_rate(limits.request_rate),
        "tokenRate": _format_rate(limits.token_rate),
        "concurrentStreams": limits.concurrent_streams,
        "budgetUsd": limits.budget_usd / _MICRO if isinstance(limits.budget_usd, int) else limits.budget_usd,
        "budgetTokens": limits.budget_tokens,
    }


def _format_rate(rate: Rate | str | None) -> str | int | None:
    if not isinstance(rate, Rate):
        return None if rate is None else NO_LIMIT
    return format_rate(rate) if rate.amount else 0
