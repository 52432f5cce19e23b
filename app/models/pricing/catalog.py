"""Price tokens in micro-dollars, from genai-prices or the site's own price file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from app.models.families.price_list import ModelPrices, find_installed_version, find_listed
from app.models.pricing.price_file import read_prices
from app.models.pricing.rates import SCALE, Rates
from app.models.pricing.tool_prices import find_tool_price
from app.models.token_counts.usage import Usage
from app.runtime import clock
from app.runtime.periods import DAY_MS

# A model's name as servers report it: with the date of its snapshot as a suffix, and Google's with the prefix
# "models/".
_REPORTED_NAME = re.compile(r"(?:models/)?(.+?)(?:[-@]20\d\d-?[01]\d-?[0-3]\d|@latest|@default)?")
_MAX_CACHED = 1_000
_GENAI_PRICES_FIELDS = {
    "input": "input_mtok",
    "cached": "cache_read_mtok",
    "written": "cache_write_mtok",
    "input_audio": "input_audio_mtok",
    "output": "output_mtok",
    "output_audio": "output_audio_mtok",
}

_STANDARD = ("auto", "default")
# OpenAI's more expensive tiers. Servers that report other names of tiers have one price, that of the price file.
_PREMIUM_TIERS = ("priority", "fast", "scale", "ultrafast")


class Prices:
    """Prices of models.

    The price file takes precedence: see price_file.py. Other models have OpenAI's standard price, as in the installed
    genai-prices. It does not have Azure deployments and models of other upstreams, so these must be in the file. In a
    batch, the price is the batch price of genai-prices, or else half.

    Each service tier has its own price. If neither the file nor genai-prices has it, it is unknown. Only `flex`,
    which is never more expensive, then has the standard price.
    """

    def __init__(self, file: Path | None = None, *, image_usd: float = 0.0) -> None:
        """Load the price file, if any.

        Args:
            file: the price file.
            image_usd: the price charged for one image of OpenAI's image generation tool.

        Raises:
            ValueError: the file is not valid.
            OSError: it cannot be read.
        """
        self._file_version, self._file_prices = ("", {}) if file is None else read_prices(file)
        self._image_micro_usd = math.ceil(Decimal(str(image_usd)) * 1_000_000)
        self._known: dict[tuple[str, int, bool, str], tuple[Rates, ...] | None] = {}

    @cached_property
    def version(self) -> str:
        """Version of the prices, which the ledger records with each cost."""
        parts = [f"genai-prices/{find_installed_version()}"]
        if self._file_version:
            parts.append(f"file/{self._file_version}")
        if self._image_micro_usd:
            parts.append(f"image/{self._image_micro_usd}")
        return "+".join(parts)

    def cost_micro_usd(self, model: str, usage: Usage, service_tier: str | None = None) -> int | None:
        """Return the cost of a usage, rounded up; None if the price is unknown."""
        tiers = self._get_tiers(model, service_tier=service_tier)
        if tiers is None:
            return None
        return -(-_cost(tiers, usage) // SCALE)

    def bound_micro_usd(
        self, model: str, input_tokens: int, output_tokens: int, service_tier: str | None = None
    ) -> int | None:
        """Return an upper bound of the cost of this many tokens; None if the price is unknown.

        OpenAI may use its standard tier whatever tier is requested, so the bound covers both.
        """
        tiers = self._get_tiers(model, service_tier=service_tier)
        standard = tiers if service_tier is None else self._get_tiers(model)
        if tiers is None or standard is None:
            return None
        bound = _bound(tiers, input_tokens, output_tokens)
        if standard is not tiers:
            bound = max(bound, _bound(standard, input_tokens, output_tokens))
        return -(-bound // SCALE)

    def tool_call_micro_usd(self, model: str, tool: Mapping[str, Any]) -> int:
        """Return the price of one call of a tool that runs at OpenAI; for its code interpreter, that of a container."""
        return find_tool_price(tool, _find_package_prices(model.lower()), self._image_micro_usd)

    def batch_cost_micro_usd(self, usages: Iterable[tuple[str, Usage]]) -> int | None:
        """Return the cost of a batch, rounded up once; None if one of the prices is unknown.

        Args:
            usages: the serving model and the usage of each request.
        """
        cost = 0
        for model, usage in usages:
            tiers = self._get_tiers(model, is_batch=True)
            if tiers is None:
                return None
            cost += _cost(tiers, usage)
        return -(-cost // SCALE)

    def batch_bound_micro_usd(self, model: str, tokens: Iterable[tuple[int, int]]) -> int | None:
        """Return an upper bound of a batch's cost from the input and output bounds of each request."""
        tiers = self._get_tiers(model, is_batch=True)
        if tiers is None:
            return None
        return -(-sum(_bound(tiers, *bounds) for bounds in tokens) // SCALE)

    def _get_tiers(
        self, model: str, *, is_batch: bool = False, service_tier: str | None = None
    ) -> tuple[Rates, ...] | None:
        """Return the rates of a model by tier, fewest input tokens first. They are cached for a day: prices change."""
        tier = "" if service_tier is None or service_tier in _STANDARD else service_tier
        key = (model, clock.now_ms() // DAY_MS, is_batch, tier)
        if key not in self._known:
            if len(self._known) >= _MAX_CACHED:
                self._known.clear()
            self._known[key] = self._find(model.lower(), tier, is_batch=is_batch)
        return self._known[key]

    def _find(self, model: str, service_tier: str, *, is_batch: bool) -> tuple[Rates, ...] | None:
        parts = _REPORTED_NAME.fullmatch(model)
        names = [model, parts[1]] if parts and parts[1] != model else [model]
        for name in names:
            if (found := self._file_prices.get(name)) is not None:
                if service_tier and service_tier in found:
                    return found[service_tier]
                if service_tier in _PREMIUM_TIERS:
                    return None
                return _halve(found[""]) if is_batch else found[""]
        for name in names:
            if (found_rates := _find_packaged(name, service_tier, is_batch=is_batch)) is not None:
                return found_rates
        return None


def _cost(tiers: tuple[Rates, ...], usage: Usage) -> int:
    """Return the cost in millionths of a micro-dollar."""
    return _select_tiers(tiers, usage.prompt_tokens or 0)[-1].cost(usage)


def _bound(tiers: tuple[Rates, ...], input_tokens: int, output_tokens: int) -> int:
    """Return the bound in millionths of a micro-dollar."""
    reached = _select_tiers(tiers, input_tokens)
    max_input = max(rates.max_input for rates in reached)
    max_output = max(rates.max_output for rates in reached)
    return input_tokens * max_input + output_tokens * max_output


def _halve(tiers: tuple[Rates, ...]) -> tuple[Rates, ...]:
    return tuple(rates.halve() for rates in tiers)


def _select_tiers(tiers: tuple[Rates, ...], input_tokens: int) -> tuple[Rates, ...]:
    return tuple(rates for rates in tiers if rates.above < input_tokens or rates.above == 0)


def _find_packaged(model: str, service_tier: str, *, is_batch: bool) -> tuple[Rates, ...] | None:
    found = find_listed(model)
    if found is None:
        return None
    now = _get_time()
    standard = prices = found.get_prices(now)
    if is_batch:
        prices = found.get_prices(now, processing="batch")
    elif found.has_tier(service_tier):
        prices = found.get_prices(now, service_tier=service_tier)
    elif service_tier not in ("", "flex"):
        return None
    given = {name: prices.get(theirs) for name, theirs in _GENAI_PRICES_FIELDS.items()}
    if given["input"] is None:
        return None  # priced per minute or image, not per token
    starts = {0, *(tier.start for price in given.values() for tier in getattr(price, "tiers", ()))}
    tiers = tuple(
        Rates.of(above, {name: _find_price(price, above) for name, price in given.items()})
        for above in sorted(starts)
    )
    # OpenAI charges half in batches. The package has the listed batch price of most models, but not of all.
    return _halve(tiers) if is_batch and prices == standard else tiers


def _find_package_prices(model: str) -> ModelPrices:
    found = find_listed(model)
    return {} if found is None else found.get_prices(_get_time())


def _get_time() -> datetime:
    return datetime.fromtimestamp(clock.now_ms() / 1000, UTC)


def _find_price(price: Any, above: int) -> Decimal | None:
    """Return the price for a number of input tokens: that of the highest tier reached, if it has tiers."""
    current: Decimal | None = getattr(price, "base", price)
    for tier in getattr(price, "tiers", ()):
        if tier.start <= above:
            current = tier.price
    return current
