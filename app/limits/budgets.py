"""Budget: the maximum spending of an account per day or month."""

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
        """Return this budget multiplied by a factor."""
        return Budget(
            self.window,
            micro_usd=None if self.micro_usd is None else factor * self.micro_usd,
            tokens=None if self.tokens is None else factor * self.tokens,
        )
