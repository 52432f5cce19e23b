"""Prices: from tokens to micro-dollars, by the data that comes with genai-prices or by a file of the owner's own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from app.ledger import clock
from app.ledger.periods import day_of
from app.ledger.price_file import read_prices
from app.ledger.rates import SCALE, Rates
from app.token_counts.usage import Usage

_DATED = re.compile(r"(.+)-20\d\d-?[01]\d-?[0-3]\d")
_MOST_KEPT = 1_000
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

    One in the file costs what that says: see price_file.py. Any other costs what OpenAI asked for its standard tier
    when genai-prices was released. The names of Azure's deployments, and of other upstreams' models, are not known
    there, so those have to be in the file. In a batch each costs what genai-prices has for that, or else half.
    """

    def __init__(self, file: Path | None = None) -> None:
        """Raises ValueError if the file is not as it should be, OSError if it cannot be read."""
        self._file_version, self._of_file = ("", {}) if file is None else read_prices(file)
        self._known: dict[tuple[str, str, bool], tuple[Rates, ...] | None] = {}

    @cached_property
    def version(self) -> str:
        """What the ledger says a cost was computed by."""
        package = f"genai-prices/{metadata.version('genai-prices')}"
        return f"{package}+file/{self._file_version}" if self._file_version else package

    def cost_micro_usd(self, model: str, usage: Usage) -> int | None:
        """What a usage, in OpenAI's own terms, costs, rounded up; None where no price is known."""
        tiers = self._tiers(model)
        if tiers is None:
            return None
        return -(-_cost(tiers, usage) // SCALE)

    def bound_micro_usd(self, model: str, input_tokens: int, output_tokens: int) -> int | None:
        """What no usage of at most so many tokens costs more than; None where no price is known."""
        tiers = self._tiers(model)
        if tiers is None:
            return None
        return -(-_bound(tiers, input_tokens, output_tokens) // SCALE)

    def batch_cost_micro_usd(self, usages: Iterable[tuple[str, Usage]]) -> int | None:
        """What the requests of a batch cost together, rounded up once; None where the price of one is not known.

        Args:
            usages: of each request, with the model that served it.
        """
        cost = 0
        for model, usage in usages:
            tiers = self._tiers(model, is_batch=True)
            if tiers is None:
                return None
            cost += _cost(tiers, usage)
        return -(-cost // SCALE)

    def batch_bound_micro_usd(self, model: str, tokens: Iterable[tuple[int, int]]) -> int | None:
        """What a batch does not cost more than, by the most tokens of each request's input and output."""
        tiers = self._tiers(model, is_batch=True)
        if tiers is None:
            return None
        return -(-sum(_bound(tiers, *of_request) for of_request in tokens) // SCALE)

    def _tiers(self, model: str, *, is_batch: bool = False) -> tuple[Rates, ...] | None:
        """The rates of a model, from the fewest input tokens to the most. Prices may change with the day."""
        key = (model.lower(), day_of(clock.now_ms()), is_batch)
        if key not in self._known:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[key] = self._find(key[0], is_batch=is_batch)
        return self._known[key]

    def _find(self, model: str, *, is_batch: bool) -> tuple[Rates, ...] | None:
        dated = _DATED.fullmatch(model)
        names = [model, dated[1]] if dated else [model]
        for name in names:
            if (found := self._of_file.get(name)) is not None:
                return _halved(found) if is_batch else found
        for name in names:
            if (found := _packaged(name, is_batch=is_batch)) is not None:
                return found
        return None


def _cost(tiers: tuple[Rates, ...], usage: Usage) -> int:
    """In millionths of a micro-dollar."""
    return _reached(tiers, usage.prompt_tokens or 0)[-1].cost(usage)


def _bound(tiers: tuple[Rates, ...], input_tokens: int, output_tokens: int) -> int:
    """In millionths of a micro-dollar."""
    reached = _reached(tiers, input_tokens)
    dearest_input = max(rates.dearest_input for rates in reached)
    dearest_output = max(rates.dearest_output for rates in reached)
    return input_tokens * dearest_input + output_tokens * dearest_output


def _halved(tiers: tuple[Rates, ...]) -> tuple[Rates, ...]:
    return tuple(rates.halved() for rates in tiers)


def _reached(tiers: tuple[Rates, ...], input_tokens: int) -> tuple[Rates, ...]:
    return tuple(rates for rates in tiers if rates.above < input_tokens or rates.above == 0)


def _packaged(model: str, *, is_batch: bool) -> tuple[Rates, ...] | None:
    from genai_prices.data_snapshot import get_snapshot  # takes 0.1 s; not before the first price is asked for

    try:
        _, found = get_snapshot().find_provider_model(model, None, "openai", None)
    except LookupError:
        return None
    now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
    usual = found.get_prices(now)
    prices = found.get_prices(now, _IN_BATCHES) if is_batch else usual
    given = {name: getattr(prices, theirs, None) for name, theirs in _PACKAGED.items()}
    if given["input"] is None:
        return None  # it is priced by the minute, the image or the like
    starts = {0, *(tier.start for price in given.values() for tier in getattr(price, "tiers", ()))}
    tiers = tuple(
        Rates.of(above, {name: _price_at(price, above) for name, price in given.items()})
        for above in sorted(starts)
    )
    # OpenAI asks half of all; the package has what its list of prices says of most.
    return _halved(tiers) if is_batch and prices == usual else tiers


def _price_at(price: Any, above: int) -> Decimal | None:
    """A price with more input tokens than `above`: the same for all, or that of the highest tier reached."""
    applying: Decimal | None = getattr(price, "base", price)
    for tier in getattr(price, "tiers", ()):
        if tier.start <= above:
            applying = tier.price
    return applying
