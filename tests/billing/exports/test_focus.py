"""`flask usage --format focus` keeps the rules of FOCUS 1.2 that a file can be checked by.

They are written down here, and `make focus` has the FinOps Foundation's own validator look as well.
Source: https://focus.finops.org/focus-specification/v1-2/
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from app.billing.exports.focus import BY
from app.billing.ledger.records import NewEntry, Settlement

# Column: whether it may be null in a row of usage.
MANDATORY = {
    "BilledCost": False,
    "BillingAccountId": False,
    "BillingAccountName": True,
    "BillingAccountType": False,
    "BillingCurrency": False,
    "BillingPeriodEnd": False,
    "BillingPeriodStart": False,
    "ChargeCategory": False,
    "ChargeClass": True,
    "ChargeDescription": True,
    "ChargePeriodEnd": False,
    "ChargePeriodStart": False,
    "ConsumedQuantity": False,
    "ConsumedUnit": False,
    "ContractedCost": False,
    "ContractedUnitPrice": False,
    "EffectiveCost": False,
    "InvoiceIssuerName": False,
    "ListCost": False,
    "ListUnitPrice": False,
    "PricingCategory": False,
    "PricingQuantity": False,
    "PricingUnit": False,
    "ProviderName": False,
    "PublisherName": False,
    "ServiceCategory": False,
    "ServiceName": False,
    "ServiceSubcategory": False,
    "SkuId": False,
    "SkuPriceId": False,
    "SubAccountId": True,
    "SubAccountType": False,
    "Tags": True,
}
ALLOWED = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {"", "Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"", "Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": {"AI and Machine Learning"},
    "ServiceSubcategory": {
        "AI Platforms",
        "Bots",
        "Generative AI",
        "Machine Learning",
        "Natural Language Processing",
    },
}
# What there is with an API that is paid by use: no reserved capacity, and no commitments.
SUPPORTED = [
    *("ACCOUNT_NAMING_SUPPORTED", "AVAILABILITY_ZONE_SUPPORTED", "MULTIPLE_PRICING_CATEGORIES_SUPPORTED"),
    *("MULTIPLE_SUB_ACCOUNT_TYPES_SUPPORTED", "MULTIPLE_BILLING_ACCOUNT_TYPES_SUPPORTED"),
    *("NEGOTIATED_PRICING_SUPPORTED", "PUBLIC_PRICE_LIST_SUPPORTED", "USAGE_MEASUREMENT_SUPPORTED"),
    *("UNIT_PRICING_SUPPORTED", "SUB_ACCOUNT_SUPPORTED", "BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED"),
    *("RESOURCE_TYPE_ASSIGNMENT_SUPPORTED", "PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED"),
    *("VIRTUAL_CURRENCY_SUPPORTED", "REGION_SUPPORTED", "TAGGING_SUPPORTED"),
]
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


@pytest.fixture
def app(make_app, tmp_path):
    return make_app(database_url=f"sqlite:///{tmp_path}/ledger.sqlite3", openai_org_id="org-1")


@pytest.fixture
def export(app, clock):
    ledger = app.extensions["gatehouse"].ledger
    app.extensions["gatehouse"].database.migrate()
    calls = [("ann", 70, 3, 7), ("ann", 30, 3, 4), ('b"o,b', None, 5, 6), ("cat", 0, 0, 0), ("dan", 1, 1, 2)]
    for user, cost, prompt, completion in calls:
        entry = NewEntry("r", "acme", user, None, "/api/chat", "chat", "gpt-6.1-terra")
        hold = ledger.hold(entry, [], micro_usd=100, tokens=100, lease_s=60)
        ledger.settle(
            hold,
            Settlement(
                outcome="complete",
                source="reported",
                cost_micro_usd=cost,
                prompt_tokens=prompt,
                completion_tokens=completion,
            ),
        )
    printed = app.test_cli_runner().invoke(args=["usage", "--month", "2026-12", "--format", "focus"])
    assert printed.exit_code == 0, printed.output
    return printed.output


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr("app.runtime.clock.now_ms", lambda: 1796083200_000 + 12 * 3600_000)  # 2026-12-01


@pytest.fixture
def found(export):
    return list(csv.DictReader(io.StringIO(export)))


def test_all_columns_are_there_and_have_values_where_they_must(found):
    assert len(found) == 4
    for row in found:
        assert set(MANDATORY) <= set(row)
        assert not [name for name, may_be_null in MANDATORY.items() if not may_be_null and row[name] == ""]


def test_names_are_pascal_case_and_our_own_begin_with_x(found):
    assert all(re.fullmatch(r"(x_)?[A-Z][A-Za-z]*", name) for name in found[0])


def test_values_have_the_formats_of_the_specification(found):
    for row in found:
        for name, value in row.items():
            if name.endswith(("PeriodStart", "PeriodEnd")):
                assert DATE.fullmatch(value), name
            if name.endswith(("Cost", "UnitPrice", "Quantity")) and value:
                assert NUMBER.fullmatch(value), (name, value)
            assert value.lower() not in ("null", "none", "nan"), name
        assert row["BillingCurrency"] == "USD"
        assert all(row[name] in allowed for name, allowed in ALLOWED.items())
        tags = json.loads(row["Tags"])
        assert all("/" in key for key in tags), "keys of a provider have a prefix"


def test_periods_hold_each_other(found):
    for row in found:
        start, end, month, next_month = (
            datetime.fromisoformat(row[name])
            for name in ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd")
        )
        assert month <= start < end <= next_month
        assert (month.day, next_month.day, next_month.year) == (1, 1, 2027)


def test_prices_times_quantities_are_costs(found):
    for row in found:
        for price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
            product = Decimal(row[price]) * Decimal(row["PricingQuantity"])
            assert abs(product - Decimal(row[cost])) < Decimal("1e-12")


def test_the_costs_are_the_ledgers(app, found):
    totals = app.extensions["gatehouse"].reports.totals(BY)

    assert [Decimal(row["BilledCost"]) * 1_000_000 for row in found] == [total.cost_micro_usd for total in totals]
    ann, bob = found[0], found[1]
    assert (ann["SubAccountId"], ann["ConsumedQuantity"], ann["x_Requests"]) == ("acme", "17.0", "2")
    assert (bob["x_Unpriced"], json.loads(bob["Tags"])["gatehouse/user"]) == ("1", 'b"o,b')
    assert {row["BillingAccountId"] for row in found} == {"org-1"}


@pytest.mark.skipif("FOCUS_VALIDATOR" not in os.environ, reason="focus-validator is run by `make focus`")
@pytest.mark.parametrize(("invoice", "fault"), [("", "InvoiceId-C-005-C"), ("INV-1", "InvoiceId-C-004-C")])
def test_the_validator_accepts_it(found, tmp_path, invoice, fault):
    """With an invoice as well as without: of two rules that contradict each other, no file keeps both.

    InvoiceId must be null without an invoice (C-004), and must not be with one (C-005). The validator cannot see whether
    there is one, so it asks both of every row. The rule above them, that one of them is kept, is kept.
    """
    file = tmp_path / "export.csv"
    with file.open("w", newline="") as opened:
        rows = csv.DictWriter(opened, found[0].keys())
        rows.writeheader()
        rows.writerows(row | {"InvoiceId": invoice} for row in found)
    results = _validate(file)

    assert {rule for rule, result in results.items() if result == "FAIL"} == {fault}
    assert results["InvoiceId-C-003-C"] == results["InvoiceId-C-000-O"] == "PASS"
    assert list(results.values()).count("PASS") >= 290


def _validate(file):
    program = Path(os.environ["FOCUS_VALIDATOR"])
    # It looks for a file of its own in the current folder, and its exit status says nothing.
    (packages,) = program.parents[1].glob("lib/python3.*/site-packages")
    command = [program, "--data-file", file, "--validate-version", "1.2", "--block-download"]
    command += ["--applicability-criteria", ",".join(SUPPORTED)]
    done = subprocess.run(command, cwd=packages, capture_output=True, text=True, timeout=300, check=False)
    results = dict(re.findall(r"^(?:✅|❌) (\S+): (PASS|FAIL)", done.stdout, re.MULTILINE))
    assert results, done.stderr
    return results
