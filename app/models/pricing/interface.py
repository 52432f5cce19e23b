"""Define the price list protocol, and the free prices of the offline model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from app.models.token_counts.usage import Usage


class PriceList(Protocol):
    """Prices tokens in micro-dollars; None means that the price is unknown. Prices documents each method."""

    @property
    def version(self) -> str:
        """The version of the prices, which the ledger records with each cost."""

    def cost_micro_usd(self, model: str, usage: Usage, service_tier: str | None = None) -> int | None:
        """Return the cost of a usage, rounded up; None if the price is unknown."""

    def bound_micro_usd(
        self, model: str, input_tokens: int, output_tokens: int, service_tier: str | None = None
    ) -> int | None:
        """Return an upper bound of the cost of this many tokens; None if the price is unknown."""

    def tool_call_micro_usd(self, model: str, tool: Mapping[str, Any]) -> int:
        """Return the price of one call of a tool that runs at OpenAI."""

    def batch_cost_micro_usd(self, usages: Iterable[tuple[str, Usage]]) -> int | None:
        """Return the cost of a batch, rounded up once; None if one of the prices is unknown."""

    def batch_bound_micro_usd(self, model: str, tokens: Iterable[tuple[int, int]]) -> int | None:
        """Return an upper bound of a batch's cost; None if the price is unknown."""


class FreePrices:
    """Prices of the offline model: everything costs 0."""

    version = "free"

    def cost_micro_usd(self, model: str, usage: Usage, service_tier: str | None = None) -> int:  # noqa: ARG002
        """Return 0."""
        return 0

    def bound_micro_usd(
        self,
        model: str,  # noqa: ARG002
        input_tokens: int,  # noqa: ARG002
        output_tokens: int,  # noqa: ARG002
        service_tier: str | None = None,  # noqa: ARG002
    ) -> int:
        """Return 0."""
        return 0

    def tool_call_micro_usd(self, model: str, tool: Mapping[str, Any]) -> int:  # noqa: ARG002
        """Return 0."""
        return 0

    def batch_cost_micro_usd(self, usages: Iterable[tuple[str, Usage]]) -> int:  # noqa: ARG002
        """Return 0."""
        return 0

    def batch_bound_micro_usd(self, model: str, tokens: Iterable[tuple[int, int]]) -> int:  # noqa: ARG002
        """Return 0."""
        return 0
