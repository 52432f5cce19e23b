"""Price tokens in micro-dollars, by the data of genai-prices or by the owner's own file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from app.pricing.price_file import read_prices
from app.pricing.rates import SCALE, Rates
from app.runtime import clock
from app.runtime.periods import get_day
from app.token_counts.usage import Usage

_DATED = re.compile(r"(.+)-20\d\d-?[01]\d-?[0-3]\d")
_MAX_KEPT = 1_000
_PACKAGED = {
    "input": "input_mtok",
    "cached": "cache_read_mtok",
    "written": "cache_write_mtok",
    "input_audio": "input_audio_mtok",
    "output": "output_mtok",
    "output_audio": "output_audio_mtok",
}

_IN_BATCHES = {"processing": "batch"}


class Prices:
    """What models cost.

    A model in the owner's file costs what that says: see price_file.py. Others cost OpenAI's standard price at the time
    of the installed genai-prices. That does not know Azure deployments and models of other upstreams, so these must be
    in the file. In a batch, a model costs its batch price in genai-prices, or else half.
    """

    def __init__(self, file: Path | None = None) -> None:
        """Load the owner's file, if any.

        Raises:
            ValueError: the file is not valid.
            OSError: it cannot be read.
        """
        self._file_version, self._of_file = ("", {}) if file is None else read_prices(file)
        self._known: dict[tuple[str, str, bool], tuple[Rates, ...] | None] = {}

    @cached_property
    def version(self) -> str:
        """The version of the prices, which the ledger records with each cost."""
        package = f"genai-prices/{metadata.version('genai-prices')}"
        return f"{package}+file/{self._file_version}" if self._file_version else package

    def cost_micro_usd(self, model: str, usage: Usage) -> int | None:
        """Return the cost of a usage, rounded up; None if the price is unknown."""
        tiers = self._tiers(model)
        if tiers is None:
            return None
        return -(-_cost(tiers, usage) // SCALE)

    def bound_micro_usd(self, model: str, input_tokens: int, output_tokens: int) -> int | None:
        """Return an upper bound of the cost of this many tokens; None if the price is unknown."""
        tiers = self._tiers(model)
        if tiers is None:
            return None
        return -(-_bound(tiers, input_tokens, output_tokens) // SCALE)

    def batch_cost_micro_usd(self, usages: Iterable[tuple[str, Usage]]) -> int | None:
        """Return the cost of a batch, rounded up once; None if one of the prices is unknown.

        Args:
            usages: the serving model and the usage of each request.
        """
        cost = 0
        for model, usage in usages:
            tiers = self._tiers(model, is_batch=True)
            if tiers is None:
                return None
            cost += _cost(tiers, usage)
        return -(-cost // SCALE)

    def batch_bound_micro_usd(self, model: str, tokens: Iterable[tuple[int, int]]) -> int | None:
        """Return an upper bound of a batch's cost from the input and output bounds of each request."""
        tiers = self._tiers(model, is_batch=True)
        if tiers is None:
            return None
        return -(-sum(_bound(tiers, *of_request) for of_request in tokens) // SCALE)

    def _tiers(self, model: str, *, is_batch: bool = False) -> tuple[Rates, ...] | None:
        """Return the rates of a model by tier, fewest input tokens first. Prices may change from day to day."""
        key = (model.lower(), get_day(clock.now_ms()), is_batch)
        if key not in self._known:
            if len(self._known) >= _MAX_KEPT:
                self._known.clear()
            self._known[key] = self._find(key[0], is_batch=is_batch)
        return self._known[key]

    def _find(self, model: str, *, is_batch: bool) -> tuple[Rates, ...] | None:
        dated = _DATED.fullmatch(model)
        names = [model, dated[1]] if dated else [model]
        for name in names:
            if (found := self._of_file.get(name)) is not None:
                return _halve(found) if is_batch else found
        for name in names:
            if (found := _packaged_price(name, is_batch=is_batch)) is not None:
                return found
        return None


def _cost(tiers: tuple[Rates, ...], usage: Usage) -> int:
    """In millionths of a micro-dollar."""
    return _reached_tier(tiers, usage.prompt_tokens or 0)[-1].cost(usage)


def _bound(tiers: tuple[Rates, ...], input_tokens: int, output_tokens: int) -> int:
    """In millionths of a micro-dollar."""
    reached = _reached_tier(tiers, input_tokens)
    dearest_input = max(rates.dearest_input for rates in reached)
    dearest_output = max(rates.dearest_output for rates in reached)
    return input_tokens * dearest_input + output_tokens * dearest_output


def _halve(tiers: tuple[Rates, ...]) -> tuple[Rates, ...]:
    return tuple(rates.halve() for rates in tiers)


def _reached_tier(tiers: tuple[Rates, ...], input_tokens: int) -> tuple[Rates, ...]:
    return tuple(rates for rates in tiers if rates.above < input_tokens or rates.above == 0)


def _packaged_price(model: str, *, is_batch: bool) -> tuple[Rates, ...] | None:
    from genai_prices.data_snapshot import (
        get_snapshot,
    )  # takes 0.1 s to import, so only when the first price is needed

    try:
        _, found = get_snapshot().find_provider_model(model, None, "openai", None)
    except LookupError:
        return None
    now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
    usual = found.get_prices(now)
    prices = found.get_prices(now, _IN_BATCHES) if is_batch else usual
    given = {name: getattr(prices, theirs, None) for name, theirs in _PACKAGED.items()}
    if given["input"] is None:
        return None  # it is priced by the minute, the image or the like, not by the token
    starts = {0, *(tier.start for price in given.values() for tier in getattr(price, "tiers", ()))}
    tiers = tuple(
        Rates.of(above, {name: _find_price(price, above) for name, price in given.items()})
        for above in sorted(starts)
    )
    # OpenAI charges half in batches; the package has the listed batch price of most models.
    return _halve(tiers) if is_batch and prices == usual else tiers


def _find_price(price: Any, above: int) -> Decimal | None:
    """A price with more input tokens than `above`: the same for all, or that of the highest tier reached."""
    applying: Decimal | None = getattr(price, "base", price)
    for tier in getattr(price, "tiers", ()):
        if tier.start <= above:
            applying = tier.price
    return applying
