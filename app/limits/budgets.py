"""Define the budget of an account: what it may spend in each day or month."""

from __future__ import annotations

from dataclasses import dataclass

from app.billing.ledger.records import Limit
from app.runtime.periods import Window


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount of money, of tokens, or of both; None means unlimited."""

    window: Window
    micro_usd: int | None = None
    tokens: int | None = None

    def limit_for(self, account: str) -> Limit:
        """Return the ledger's limit for one account."""
        return Limit(account, self.window, self.micro_usd, self.tokens)

    def times(self, factor: int) -> Budget:
        """Return a budget that is so many times as large."""
        return Budget(
            self.window,
            micro_usd=None if self.micro_usd is None else factor * self.micro_usd,
            tokens=None if self.tokens is None else factor * self.tokens,
        )
