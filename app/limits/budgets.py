"""Budget: what one account may spend in each day or month."""

from __future__ import annotations

from dataclasses import dataclass

from app.ledger.records import Limit
from app.runtime.periods import Window


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount of money or of tokens, or both; None leaves one of them unlimited."""

    window: Window
    micro_usd: int | None = None
    tokens: int | None = None

    def of(self, account: str) -> Limit:
        """Return it as the limit of one account."""
        return Limit(account, self.window, self.micro_usd, self.tokens)
