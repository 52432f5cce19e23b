"""TokenRateLimit: the tokens that a user, a tenant or an address may use per window, as far as one call goes."""

from __future__ import annotations

import time
from collections.abc import Mapping

from app.limits.rate_limiter import Quota, Rate, RateLimited, RateLimiter


class TokenRateLimit:
    """Counts the most that a call may use before it is made, and takes back at its end what it did not use."""

    def __init__(self, limiter: RateLimiter, rates: Mapping[str, Rate]) -> None:
        """`rates` are those of each account."""
        self._limiter = limiter
        self._rates = {f"tokens:{key}": rate for key, rate in rates.items()}
        self._taken: list[tuple[float, int]] = []
        self.quota: Quota | None = None
        """What is left for the account that has least."""

    def reserve(self, tokens: int) -> None:
        """Count so many more.

        Raises:
            RateLimited: one of the accounts has too little left.
        """
        if not self._rates:
            return
        at = time.time()
        try:
            self.quota = self._limiter.admit(self._rates, tokens)
        except RateLimited as refusal:
            self.quota = refusal.quota
            if tokens > refusal.quota.limit:
                sentence = "This request may use more tokens than are allowed in so short a time."
            else:
                sentence = "Too many tokens were used in a short time."
            raise RateLimited(refusal.quota, sentence) from None
        self._taken.append((at, tokens))

    def release_unused(self, used: int) -> None:
        """Take back what of all that was counted has not been used: the earliest was used first."""
        for at, tokens in self._taken:
            unused = max(0, tokens - used)
            used -= tokens - unused
            if unused:
                self._limiter.give_back(self._rates, unused, taken_at=at)
        self._taken.clear()
