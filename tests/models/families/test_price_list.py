"""The list has what genai-prices has, for each name, day and tier; and each start goes without that package."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ConditionalPrice, ModelPrice, PriceVariant, TieredPrices, TimeOfDateConstraint

from app.models.families.price_list import find_listed, reading, writing
from app.models.families.price_list.reading import FILE, Tier, TieredPrice
from app.models.pricing.catalog import Prices
from app.models.token_counts import Usage, find_window
from tests.fakes.servers import ROOT

(OPENAI,) = (provider for provider in get_snapshot().providers if provider.id == "openai")
ASKED = [
    {},
    {"processing": "batch"},
    *({"service_tier": tier} for tier in ("default", "priority", "fast", "flex", "x")),
]


def list_words(clause: Any):
    (value,) = vars(clause).values()
    return [word for each in value for word in list_words(each)] if isinstance(value, list) else [value]


ENDS = ("", "-20260201", "-20260231", "x")
MORE_ENDS = ("-2026-02-01", "-latest", ":free", "-audio-preview", "-chat", "-codex")
OTHERS = {"", "x", "claude-haiku-5.5", "openai/gpt-4o", "x-gpt-4o", "GPT-4O", "OpenAI/gpt-4o"}


def list_names(*ends: str):
    words = {word for model in OPENAI.models for word in list_words(model.match)} | {m.id for m in OPENAI.models}
    return {word + end for word in words for end in ends} | OTHERS


def list_days():
    given = [
        each
        for m in OPENAI.models
        for each in (*(m.price_variants or ()), *(m.prices if isinstance(m.prices, list) else ()))
    ]
    starts = {each.constraint.start_date for each in given if each.constraint is not None}
    return sorted({date(2020, 1, 1), date(2030, 1, 1), *starts, *(start - timedelta(days=1) for start in starts)})


@cache
def find_theirs(name: str):
    try:
        return get_snapshot().find_provider_model(name, None, "openai", None)[1]
    except LookupError:
        return None


def describe(prices: ModelPrice):
    def convert(price):
        if not isinstance(price, TieredPrices):
            return price
        return TieredPrice(price.base, tuple(Tier(tier.start, tier.price) for tier in price.tiers))

    return {name: convert(price) for name, price in vars(prices).items() if price is not None}


def test_the_file_is_made_from_the_pinned_package():
    assert FILE.read_text(encoding="utf-8") == writing.render_list(), "run `make models`"


def list_every_name():
    names = list_names(*ENDS, *MORE_ENDS)
    return names | {name.upper() for name in names}


@pytest.mark.parametrize(
    "list_them",
    [
        pytest.param(lambda: list_names(*ENDS), id="some"),
        pytest.param(list_every_name, id="every", marks=pytest.mark.thorough),
    ],
)
def test_each_name_is_found_as_the_package_finds_it(list_them):
    ours_of: dict[int, Any] = {}
    names = list_them()
    found = 0
    for name in sorted(names):
        ours, theirs = find_listed(name), find_theirs(name)
        assert (ours is None) == (theirs is None), name
        if theirs is not None:
            found += 1
            assert ours.window == theirs.context_window, name
            assert ours_of.setdefault(id(theirs), ours) is ours, name
    assert len(ours_of) == len(OPENAI.models)
    assert len(OPENAI.models) < found < len(names)


def test_each_price_is_that_of_the_package_on_each_day_and_for_each_tier():
    days = list_days()
    assert len(days) > 3
    models = {
        id(theirs): (theirs, find_listed(name)) for name in list_names(*ENDS) if (theirs := find_theirs(name))
    }
    assert len(models) == len(OPENAI.models)
    for theirs, ours in models.values():
        for day in days:
            for moment in (datetime.combine(day, time(), UTC), datetime.combine(day, time(23, 59), UTC)):
                for asked in ASKED:
                    assert ours.get_prices(moment, **asked) == describe(theirs.get_prices(moment, asked)), (
                        theirs.id
                    )
        tiers = {variant.when.get("service_tier") for variant in theirs.price_variants or ()}
        assert [ours.has_tier(tier) for tier in ("priority", "flex")] == [
            tier in tiers for tier in ("priority", "flex")
        ]


@pytest.fixture
def other_version(monkeypatch):
    monkeypatch.setattr(reading, "find_installed_version", lambda: "99.0")
    yield
    monkeypatch.undo()
    reading._load.cache_clear()
    find_listed.cache_clear()


def reload_list():
    reading._load.cache_clear()
    find_listed.cache_clear()


def test_prices_of_another_version_of_the_package_come_from_that(monkeypatch, other_version):
    newer = replace(find_theirs("gpt-6.1-terra"), prices=ModelPrice(input_mtok=7), price_variants=None)
    monkeypatch.setattr(OPENAI, "models", [newer])
    reload_list()

    assert find_listed("gpt-6.1-terra").get_prices(datetime.now(UTC)) == {"input_mtok": 7}
    assert find_listed("gpt-4o") is None


def test_of_two_variants_the_first_that_has_a_price_goes_as_in_the_package(monkeypatch, other_version):
    when = {"service_tier": "priority"}
    variants = [
        PriceVariant(when, prices=ModelPrice(input_mtok=3)),
        PriceVariant(when, prices=ModelPrice(input_mtok=4, output_mtok=5)),
    ]
    varied = replace(find_theirs("gpt-6.1-terra"), prices=ModelPrice(input_mtok=1), price_variants=variants)
    monkeypatch.setattr(OPENAI, "models", [varied])
    reload_list()

    ours = find_listed("gpt-6.1-terra").get_prices(datetime.now(UTC), **when)

    assert ours == {"input_mtok": 3, "output_mtok": 5} == describe(varied.get_prices(datetime.now(UTC), when))


def test_prices_that_depend_on_the_hour_are_unknown(monkeypatch, other_version):
    at_night = ConditionalPrice(TimeOfDateConstraint(time(1), time(5)), prices=ModelPrice(input_mtok=1))
    always = ConditionalPrice(prices=ModelPrice(input_mtok=2))
    cheaper = replace(find_theirs("gpt-6.1-terra"), prices=[always, at_night])
    monkeypatch.setattr(OPENAI, "models", [cheaper])
    reload_list()

    listed = find_listed("gpt-6.1-terra")

    assert listed.window == cheaper.context_window
    assert listed.get_prices(datetime.now(UTC), service_tier="priority") == {}


def test_a_price_and_a_window_are_known_if_the_package_cannot_be_imported(monkeypatch):
    for name in [*(name for name in sys.modules if name.startswith("genai_prices.")), "genai_prices"]:
        monkeypatch.setitem(sys.modules, name, None)
    reload_list()

    assert Prices().version
    assert Prices().cost_micro_usd("gpt-6.1-terra", Usage(prompt_tokens=1)) == 1
    assert find_window("gpt-6.1-terra") > 100_000


@pytest.mark.thorough
def test_the_package_is_not_loaded_for_a_price_and_a_window():
    code = """
import sys
from app.models.pricing.catalog import Prices
from app.models.token_counts import Usage, find_window
assert Prices().version
assert Prices().cost_micro_usd("gpt-6.1-terra", Usage(prompt_tokens=1)) == 1
assert find_window("gpt-6.1-terra") > 100_000
assert "genai_prices" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
