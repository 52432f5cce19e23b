"""Check the models' prices and shutdown dates."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

from app.cli.doctor.finding import Finding, fault, ok, warning
from app.cli.doctor.keys import list_models
from app.config import Config
from app.models.families import find_family
from app.models.pricing.catalog import Prices
from app.openai_service import Upstream


def check_models(root: Path, config: Config) -> Iterator[Finding]:
    """Check that each model has a price, and that none has been or will be shut down."""
    if config.is_offline:
        return
    prices = Prices(root / config.prices_file if config.prices_file else None)
    has_budget = any((config.user_budget_usd, config.tenant_budget_usd, config.anonymous_budget_usd))
    models = list_models(config)
    unpriced = [model for model in models if prices.bound_micro_usd(model, 1, 1) is None]
    if unpriced:
        make_finding = fault if has_budget else warning
        effect = "is refused, because there is a budget in dollars" if has_budget else "is counted as 0 dollars"
        yield make_finding(
            "prices",
            f"There is no price for {', '.join(unpriced)}: its use {effect}.",
            "Add its price to PRICES_FILE.",
        )
    else:
        yield ok("prices", "The price of each model is known.")
    if not Upstream.from_settings(config.upstream).has_openai_models:
        return
    today = datetime.datetime.now(datetime.UTC).date()
    for model in models:
        family = find_family(model)
        if family is None or family.shutdown is None:
            continue
        days = (family.shutdown - today).days
        if days < 0:
            yield fault(
                "shutdown",
                f"{model} was shut down on {family.shutdown}.",
                "Choose another model; docs/models.md lists them.",
            )
        else:
            make_finding = fault if days < 7 else warning
            yield make_finding(
                "shutdown",
                f"{model} will be shut down on {family.shutdown}, in {days} days.",
                "Choose another model by then.",
            )
