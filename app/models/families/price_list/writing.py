"""Write the list from the installed genai-prices, for `make models`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ConditionalPrice, ModelInfo, StartDateConstraint

from app.models.families.price_list.reading import FILE, PACKAGE

_SOURCE = "genai-prices, MIT License, Copyright (c) Pydantic Services Inc. 2025 to present"
_UNKNOWN: dict[str, Any] = {"prices": [{"from": None, "usd": {}}], "variants": []}


def render_list() -> str:
    """Return the text of the file, a line for each model."""
    lines = ",\n".join(json.dumps(model, separators=(",", ":")) for model in list_models())
    return f'{{"source":"{_SOURCE}","version":"{metadata.version(PACKAGE)}","models":[\n{lines}\n]}}\n'


def list_models() -> Iterator[dict[str, Any]]:
    """Yield the entry of each OpenAI model."""
    (openai,) = (provider for provider in get_snapshot().providers if provider.id == "openai")
    for model in openai.models:
        known = {"names": _describe_clause(model.match), "window": model.context_window}
        yield known | (_describe_times(model) or _UNKNOWN)


def _describe_times(model: ModelInfo) -> dict[str, Any] | None:
    """Return the prices of a model; None if some depend on the time of day. Those of OpenAI do not so far."""
    prices = model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]
    variants = model.price_variants or []
    constraints = [*(each.constraint for each in prices), *(each.constraint for each in variants)]
    if not all(isinstance(constraint, StartDateConstraint | None) for constraint in constraints):
        return None
    return {
        "prices": [_describe_prices(each) for each in prices],
        "variants": [{"when": each.when, **_describe_prices(each)} for each in variants],
    }


def _describe_clause(clause: Any) -> dict[str, Any]:
    ((kind, value),) = vars(clause).items()
    if isinstance(value, list):
        return {kind.rstrip("_"): [_describe_clause(each) for each in value]}
    return {kind: value if kind == "regex" else value.lower()}


def _describe_prices(given: Any) -> dict[str, Any]:
    begins = None if given.constraint is None else given.constraint.start_date.isoformat()
    usd = {name: _describe_price(price) for name, price in vars(given.prices).items() if price is not None}
    return {"from": begins, "usd": usd}


def _describe_price(price: Any) -> str | Mapping[str, str]:
    tiers = getattr(price, "tiers", None)
    if tiers is None:
        return str(price)
    return {"0": str(price.base)} | {str(tier.start): str(tier.price) for tier in tiers}


if __name__ == "__main__":
    FILE.write_text(render_list(), encoding="utf-8")
