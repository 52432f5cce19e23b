"""Find a model in the list, and its prices at a time, in the same way as genai-prices."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).with_name("openai.json")
PACKAGE = "genai-prices"

# The date of a snapshot as some servers write it. In the list, it has dashes.
_COMPACT_DATE = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)")


class Tier(NamedTuple):
    """A price that applies from a number of input tokens on."""

    start: int
    price: Decimal


class TieredPrice(NamedTuple):
    """A price that depends on the number of input tokens."""

    base: Decimal
    tiers: tuple[Tier, ...]


ModelPrices = Mapping[str, Decimal | TieredPrice]
"""Prices in USD by the field names of genai-prices, such as `input_mtok` for a million input tokens."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """The entry of a model, as in the file."""

    names: Mapping[str, Any]
    window: int | None
    prices: Sequence[Mapping[str, Any]]
    variants: Sequence[Mapping[str, Any]]

    def get_prices(self, now: datetime, **params: str) -> ModelPrices:
        """Return the prices at a time.

        Args:
            now: the time.
            params: parameters of the request that can change the prices: a `service_tier`, or `processing` in a batch.
        """
        standard = next((each for each in reversed(self.prices) if _has_begun(each, now)), self.prices[0])
        found = dict(standard["usd"])
        if params:
            for variant in reversed(self.variants):  # of several that match, the first one in the list wins
                if _has_begun(variant, now) and variant["when"].items() <= params.items():
                    found |= variant["usd"]
        return {name: _read_price(price) for name, price in found.items()}

    def has_tier(self, service_tier: str) -> bool:
        """Return whether a service tier has separate prices."""
        return any(variant["when"].get("service_tier") == service_tier for variant in self.variants)


@lru_cache(maxsize=1_000)
def find_listed(model: str) -> ListedModel | None:
    """Return the entry of an OpenAI model; None if the list does not have it."""
    name = model.lower()
    for variant in dict.fromkeys((name, _COMPACT_DATE.sub(_write_dashes, name))):
        for listed in _load():
            if _matches(listed.names, variant):
                return listed
    return None


@cache
def find_installed_version() -> str:
    """Return the version of the installed package. It is cached, as finding it takes a millisecond."""
    return metadata.version(PACKAGE)


@cache
def _load() -> tuple[ListedModel, ...]:
    """Load the file; if it was written from another version of the package than the installed one, read the package."""
    data = json.loads(FILE.read_text(encoding="utf-8"))
    if data["version"] != find_installed_version():
        from app.models.families.price_list.writing import list_models

        data = {"models": list(list_models())}
    return tuple(ListedModel(**model) for model in data["models"])


def _matches(clause: Mapping[str, Any], name: str) -> bool:
    ((kind, value),) = clause.items()
    match kind:
        case "or":
            return any(_matches(each, name) for each in value)
        case "and":
            return all(_matches(each, name) for each in value)
        case "equals":
            return bool(name == value)
        case "starts_with":
            return name.startswith(value)
        case "ends_with":
            return name.endswith(value)
        case "contains":
            return value in name
        case _:
            return re.search(value, name) is not None


def _has_begun(prices: Mapping[str, Any], now: datetime) -> bool:
    begins = prices["from"]
    return begins is None or now.astimezone(UTC).date() >= date.fromisoformat(begins)


def _read_price(price: Any) -> Decimal | TieredPrice:
    if isinstance(price, str):
        return Decimal(price)
    base, *tiers = _read_tiers(price)
    return TieredPrice(base.price, tuple(tiers))


def _read_tiers(price: Mapping[str, str]) -> Iterator[Tier]:
    return (Tier(int(start), Decimal(each)) for start, each in price.items())


def _write_dashes(found: re.Match[str]) -> str:
    year, month, day = found.groups()
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return found[0]
    return f"-{year}-{month}-{day}"
