"""The cost of calls of tools that run at OpenAI: the maximum before an answer, and the actual cost after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.models.pricing.interface import PriceList
from app.openai_service import Attempt
from app.openai_service.responses.hosted_tools import MAX_CALLS, list_hosted_tools

_CONTAINER = "code_interpreter"


def bound_calls(prices: PriceList, model: str, body: Mapping[str, Any]) -> int:
    """Return the maximum cost of one answer's tool calls, in micro-dollars. All code of an answer runs in one container."""
    tools = list_hosted_tools(body)
    if not tools:
        return 0
    containers, calls = 0, [0]
    for tool in tools:
        price = prices.tool_call_micro_usd(model, tool)
        if tool["type"] == _CONTAINER:
            containers += price
        else:
            calls.append(price)
    return containers + max(calls) * int(body[MAX_CALLS])


def price_calls(prices: PriceList, attempt: Attempt, body: Mapping[str, Any]) -> int:
    """Return the cost of an attempt's tool calls, in micro-dollars.

    If a streamed answer broke off, one more call than observed may have begun. If an answer that is not streamed did not
    arrive, the maximum is charged.
    """
    tools = list_hosted_tools(body)
    if not tools or attempt.billed == "no" or attempt.sent_at is None:
        return 0
    by_type = {_name_type(tool): prices.tool_call_micro_usd(attempt.model, tool) for tool in tools}
    seen = sum(by_type.get(kind, 0) * count for kind, count in attempt.hosted_calls.items())
    if attempt.is_complete or attempt.billed == "yes":
        return seen
    bound = bound_calls(prices, attempt.model, body)
    return min(bound, seen + max(by_type.values())) if attempt.is_streamed else bound


def _name_type(tool: Mapping[str, Any]) -> str:
    """Return the type of a tool, without the date of its version."""
    kind: str = tool["type"]
    return "web_search" if kind.startswith("web_search") else kind
