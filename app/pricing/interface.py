"""The interface of a price list, and the prices of models that cost nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from app.token_counts.usage import Usage


class PriceList(Protocol):
    """Prices tokens in micro-dollars; None means that the price is unknown. See Prices for each method."""

    @property
    def version(self) -> str: ...

    def cost_micro_usd(self, model: str, usage: Usage) -> int | None: ...

    def bound_micro_usd(self, model: str, input_tokens: int, output_tokens: int) -> int | None: ...

    def batch_cost_micro_usd(self, usages: Iterable[tuple[str, Usage]]) -> int | None: ...

    def batch_bound_micro_usd(self, model: str, tokens: Iterable[tuple[int, int]]) -> int | None: ...


class FreePrices:
    """Prices of the offline model: everything costs 0."""

    version = "free"

    def cost_micro_usd(self, model: str, usage: Usage) -> int:  # noqa: ARG002
        return 0

    def bound_micro_usd(self, model: str, input_tokens: int, output_tokens: int) -> int:  # noqa: ARG002
        return 0

    def batch_cost_micro_usd(self, usages: Iterable[tuple[str, Usage]]) -> int:  # noqa: ARG002
        return 0

    def batch_bound_micro_usd(self, model: str, tokens: Iterable[tuple[int, int]]) -> int:  # noqa: ARG002
        return 0
