"""What the upstream's prompt cache saved."""

from __future__ import annotations

from app.models.pricing.interface import PriceList
from app.models.token_counts.usage import Usage

# Below the number of tokens from which some models have other prices.
_SAMPLE = 100_000


def find_cache_savings(prices: PriceList, model: str, cached: int, written: int) -> int:
    """Return by how many micro-dollars tokens cost less than without a prompt cache; below 0 if they cost more.

    Args:
        prices: of today.
        model: that read and wrote them; 0 is returned if its price is unknown.
        cached: tokens that were read from the cache.
        written: tokens that were written to it, which some models charge more for than for plain input.
    """
    if not cached and not written:
        return 0
    plain = prices.cost_micro_usd(model, Usage(prompt_tokens=_SAMPLE))
    read = prices.cost_micro_usd(model, Usage(prompt_tokens=_SAMPLE, cached_tokens=_SAMPLE))
    wrote = prices.cost_micro_usd(model, Usage(prompt_tokens=_SAMPLE, cache_write_tokens=_SAMPLE))
    if plain is None or read is None or wrote is None:
        return 0
    return (cached * (plain - read) - written * (wrote - plain)) // _SAMPLE
