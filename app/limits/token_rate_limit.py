"""TokenRateLimit: reserves the tokens of one call in the rate limits of its accounts, and releases the unused ones."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from app.limits.rate_limiter import Quota, Rate, RateLimited, RateLimiter
from app.runtime import clock

_PREFIX = "tokens:"


class TokenRateLimit:
    """The tokens of one call: the maximum is counted before each attempt, and the unused part is released at the end."""

    def __init__(self, limiter: RateLimiter, rates: Mapping[str, Rate]) -> None:
        """Create it from the rate limit of each account."""
        self._limiter = limiter
        self._rates = {f"{_PREFIX}{key}": rate for key, rate in rates.items()}
        self._reserved: list[tuple[float, int]] = []
        self.quota: Quota | None = None
        """The smallest remaining quota of the accounts."""

    @classmethod
    def load(cls, limiter: RateLimiter, dump: bytes) -> TokenRateLimit:
        """Restore the limit of another process from its dump()."""
        rates, reserved = orjson.loads(dump)
        loaded = cls(limiter, {})
        loaded._rates = {key: Rate(*rate) for key, rate in rates.items()}
        loaded._reserved = [(at, tokens) for at, tokens in reserved]
        return loaded

    def dump(self) -> bytes:
        """Return the reservations as bytes, in case this process is killed; empty if there are none."""
        if not self._reserved:
            return b""
        rates = {key: (rate.amount, rate.window_s) for key, rate in self._rates.items()}
        return orjson.dumps([rates, self._reserved])

    def read_quotas(self) -> dict[str, Quota]:
        """Return the remaining quota of each account."""
        return {key.removeprefix(_PREFIX): quota for key, quota in self._limiter.read_quotas(self._rates).items()}

    def reserve(self, tokens: int) -> None:
        """Count the maximum number of tokens of an attempt.

        Raises:
            RateLimited: an account has too little left.
        """
        if not self._rates:
            return
        at = clock.now()
        try:
            self.quota = self._limiter.admit(self._rates, tokens)
        except RateLimited as refusal:
            self.quota = refusal.quota
            if tokens > refusal.quota.limit:
                sentence = "This request may use more tokens than the rate limit allows."
            else:
                sentence = "Too many tokens in a short time."
            raise RateLimited(refusal.quota, sentence) from None
        self._reserved.append((at, tokens))

    def release_unused(self, used: int) -> None:
        """Release the reserved tokens beyond `used`. The tokens that were reserved first count as used first."""
        for at, tokens in self._reserved:
            unused = max(0, tokens - used)
            used -= tokens - unused
            if unused:
                self._limiter.release(self._rates, unused, taken_at=at)
        self._reserved.clear()
