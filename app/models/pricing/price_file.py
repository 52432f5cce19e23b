"""Parse the site's price file, a TOML file such as this.

version = "2026-11"             # recorded in the ledger; default: a hash of the file

[models."gpt-6.1-terra"]        # also for gpt-6.1-terra-2026-10-01
input = 1.00                    # USD per million tokens
cached_input = 0.05             # default: the price of `input`
cache_write = 1.25              # default: the price of `input`
output = 5.00                   # default: 0, as for embeddings

[[models."gpt-6.1-terra".tiers]]
above = 272000                  # if there are more input tokens than this, all tokens have the following prices
input = 2.00
cached_input = 0.10
cache_write = 2.50
output = 7.50                   # default: the price below the tier

# Without such a table, flex has the standard price, and the price of a more expensive tier is unknown.
[models."gpt-6.1-terra".service_tiers.priority]
input = 2.00
output = 10.00
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from app.models.pricing.rates import Rates

_FIELDS = {"input": "input", "cached_input": "cached", "cache_write": "written", "output": "output"}


ModelPrices = Mapping[str, tuple[Rates, ...]]
"""By service tier ("" for the standard one): the rates by tier of input, fewest input tokens first."""


def read_prices(file: Path) -> tuple[str, dict[str, ModelPrices]]:
    """Return the file's version, and each model's prices.

    Raises:
        ValueError: the file is not valid.
        OSError: it cannot be read.
    """
    text = file.read_bytes()
    try:
        values = tomllib.loads(text.decode("utf-8-sig"), parse_float=Decimal)
    except UnicodeDecodeError:
        raise ValueError("the file is not encoded in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"the file is not valid TOML: {error}") from None
    models = values.get("models", {})
    if not isinstance(models, dict):
        raise ValueError("models must be a table")
    version = str(values.get("version", hashlib.sha256(text).hexdigest()[:12]))
    return version, {name.lower(): _parse_model(name, given) for name, given in models.items()}


def _parse_model(model: str, given: Any) -> ModelPrices:
    if not isinstance(given, dict):
        raise ValueError(f"models.{model} must be a table")
    others = given.get("service_tiers", {})
    if not isinstance(others, dict):
        raise ValueError(f"models.{model}.service_tiers must be a table")
    standard = {name: value for name, value in given.items() if name != "service_tiers"}
    return {
        "": _parse_tiers(model, standard),
        **{tier: _parse_tiers(f"{model}.service_tiers.{tier}", prices) for tier, prices in others.items()},
    }


def _parse_tiers(model: str, given: Any) -> tuple[Rates, ...]:
    if not isinstance(given, dict):
        raise ValueError(f"models.{model} must be a table")
    base = _parse_prices(model, {name: value for name, value in given.items() if name != "tiers"})
    rates = [Rates.of(0, base)]
    for tier in given.get("tiers", []):
        above = tier.get("above") if isinstance(tier, dict) else None
        if not isinstance(above, int) or above <= rates[-1].above:
            raise ValueError(
                f"models.{model}: each tier needs `above`, a number of input tokens higher than that of the tier before"
            )
        prices = _parse_prices(model, {name: value for name, value in tier.items() if name != "above"})
        rates.append(Rates.of(above, {"output": base.get("output")} | prices))
    return tuple(rates)


def _parse_prices(model: str, given: Mapping[str, Any]) -> dict[str, Decimal | None]:
    if "input" not in given:
        raise ValueError(f"models.{model}: the price `input` is missing")
    prices: dict[str, Decimal | None] = {}
    for name, value in given.items():
        if name not in _FIELDS:
            raise ValueError(f"models.{model}: {name} is not one of {', '.join(_FIELDS)}, tiers, service_tiers")
        try:
            price = Decimal(-1 if isinstance(value, bool) else value)
        except (InvalidOperation, TypeError, ValueError):
            price = Decimal(-1)
        if not price.is_finite() or price < 0:
            raise ValueError(f"models.{model}: {name} is not a price in USD per million tokens")
        prices[_FIELDS[name]] = price
    return prices
