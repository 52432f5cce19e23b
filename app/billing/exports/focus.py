"""Write the ledger's totals as FOCUS 1.2, the FinOps Foundation's format of cost and usage.

There is a row for each day, tenant, user, model and route. Its unit price is its cost divided by its tokens, an average
over the kinds of tokens. Columns that begin with x_ are our own, as the specification allows.

Source: https://focus.finops.org/focus-specification/v1-2/
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Protocol

import orjson

from app.billing.ledger.reports import Total
from app.billing.ledger.totals_query import Grouping
from app.models.token_counts import FIGURES

BY: Sequence[Grouping] = ("day", "tenant", "user", "model", "route")

_CURRENCY = "USD"
_UNIT = "Tokens"
_COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "PricingCurrencyEffectiveCost")
_UNIT_PRICES = (
    "ListUnitPrice",
    "ContractedUnitPrice",
    "PricingCurrencyListUnitPrice",
    "PricingCurrencyContractedUnitPrice",
)
# Columns that this program has no value for, or that do not apply to an API that is paid by use.
_NULL = (
    "AvailabilityZone",
    "CapacityReservationId",
    "CapacityReservationStatus",
    "ChargeClass",
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountQuantity",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "CommitmentDiscountUnit",
    "InvoiceId",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "SkuPriceDetails",
)
_TEXTS = (
    *("BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency", "BillingPeriodEnd"),
    *("BillingPeriodStart", "ChargeCategory", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd"),
    *("ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit", "InvoiceIssuerName", "PricingCategory"),
    *("PricingCurrency", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory"),
    *("ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceId", "SubAccountId", "SubAccountName"),
    *("SubAccountType", "Tags"),
)
_OWN = {
    name: "x_" + "".join(map(str.title, name.split("_")))
    for name in (*FIGURES, "requests", "estimated", "unpriced")
}
COLUMNS = (*sorted((*_COSTS, *_UNIT_PRICES, *_NULL, *_TEXTS)), *_OWN.values())


class _Writable(Protocol):
    def write(self, text: str, /) -> object:
        """Write a text."""


def write_focus(totals: Iterable[Total], out: _Writable, *, account: str, provider: str) -> None:
    """Write totals that are grouped by BY as CSV. An empty cell is null.

    Args:
        totals: in any order.
        out: the CSV is written to it.
        account: the account that the provider bills.
        provider: the company that serves the models.
    """
    rows = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    rows.writeheader()
    rows.writerows(_describe(total, account, provider) for total in totals)


def _describe(total: Total, account: str, provider: str) -> dict[str, Any]:
    day_text, tenant, user, model, route = total.group
    day = date.fromisoformat(day_text)
    month = day.replace(day=1)
    cost = Decimal(total.cost_micro_usd) / 1_000_000
    unit_price = cost / total.tokens if total.tokens else Decimal(0)
    return {
        **dict.fromkeys(_COSTS, f"{cost:f}"),
        **dict.fromkeys(_UNIT_PRICES, f"{unit_price:f}"),
        "BillingAccountId": account,
        "BillingAccountName": account,
        "BillingAccountType": "Organization",
        "BillingCurrency": _CURRENCY,
        "BillingPeriodStart": _format(month),
        "BillingPeriodEnd": _format((month + timedelta(days=32)).replace(day=1)),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"{model} by {route}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _format(day),
        "ChargePeriodEnd": _format(day + timedelta(days=1)),
        "ConsumedQuantity": f"{total.tokens}.0",
        "ConsumedUnit": _UNIT,
        "InvoiceIssuerName": provider,
        "PricingCategory": "Standard",
        "PricingCurrency": _CURRENCY,
        "PricingQuantity": f"{total.tokens}.0",
        "PricingUnit": _UNIT,
        "ProviderName": provider,
        "PublisherName": provider,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": f"{provider} API",
        "ServiceSubcategory": "Generative AI",
        "SkuId": model,
        "SkuMeter": _UNIT,
        "SkuPriceId": model,
        "SubAccountId": tenant,
        "SubAccountName": tenant,
        "SubAccountType": "Tenant",
        "Tags": orjson.dumps({"gatehouse/route": route, "gatehouse/user": user}).decode(),
        **{theirs: getattr(total, ours) for ours, theirs in _OWN.items()},
    }


def _format(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"
