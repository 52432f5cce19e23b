"""PriceList: what is asked of prices, and FreePrices, of models that cost nothing, as the offline one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from app.token_counts.usage import Usage


class PriceList(Protocol):
    """From tokens to micro-dollars; None where no price is known. Prices is the usual one."""

    @property
    def version(self) -> str: ...

    def cost_micro_usd(self, model: str, usage: Usage) -> int | None: ...

    def bound_micro_usd(self, model: str, input_tokens: int, output_tokens: int) -> int | None: ...

    def batch_cost_micro_usd(self, usages: Iterable[tuple[str, Usage]]) -> int | None: ...

    def batch_bound_micro_usd(self, model: str, tokens: Iterable[tuple[int, int]]) -> int | None: ...


class FreePrices:
    version = "free"

    def cost_micro_usd(self, model: str, usage: Usage) -> int:  # noqa: ARG002
        return 0

    def bound_micro_usd(self, model: str, input_tokens: int, output_tokens: int) -> int:  # noqa: ARG002
        return 0

    def batch_cost_micro_usd(self, usages: Iterable[tuple[str, Usage]]) -> int:  # noqa: ARG002
        return 0

    def batch_bound_micro_usd(self, model: str, tokens: Iterable[tuple[int, int]]) -> int:  # noqa: ARG002
        return 0
