"""Compute what the upstream's prompt cache saved."""

from __future__ import annotations

from app.models.pricing.interface import PriceList
from app.models.token_counts.usage import Usage

# Below the tiers of input tokens from which some models have other prices.
_SAMPLE = 100_000


def find_cache_savings(prices: PriceList, model: str, cached: int, written: int) -> int:
    """Return how many micro-dollars the prompt cache saved; below 0 if it cost more. 0 if the price is unknown.

    Args:
        prices: today's prices.
        model: the model that read and wrote the tokens.
        cached: tokens that were read from the cache.
        written: tokens that were written to it. Some models charge more for these than for plain input.
    """
    if not cached and not written:
        return 0
    plain = prices.cost_micro_usd(model, Usage(prompt_tokens=_SAMPLE))
    read = prices.cost_micro_usd(model, Usage(prompt_tokens=_SAMPLE, cached_tokens=_SAMPLE))
    wrote = prices.cost_micro_usd(model, Usage(prompt_tokens=_SAMPLE, cache_write_tokens=_SAMPLE))
    if plain is None or read is None or wrote is None:
        return 0
    return (cached * (plain - read) - written * (wrote - plain)) // _SAMPLE
