"""What models cost, by the package's data and by a file."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from genai_prices import Usage, calc_price

from app.config import ConfigError
from app.models.pricing.catalog import Prices
from app.models.token_counts import Usage as UsedTokens

ROOT = Path(__file__).parents[3]
FILE = """
version = "mine"
[models."gpt-6.1-terra"]
input = 10
cached_input = 0.5
output = 20.0
[[models."gpt-6.1-terra".tiers]]
above = 1000
input = 30
[models."gpt-6.1-terra".service_tiers.priority]
input = 40
output = 50
[models.Own-Deployment]
input = 0.0000001
"""


def usage(prompt, completion, cached=0, written=0):
    return UsedTokens.parse(
        {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
            "completion_tokens_details": {"reasoning_tokens": completion // 2},
        }
    )


@pytest.fixture
def prices(clock):
    return Prices()


@pytest.fixture
def own(clock, tmp_path):
    (tmp_path / "prices.toml").write_text(FILE)
    return Prices(tmp_path / "prices.toml")


def test_tokens_are_priced_apart_and_the_sum_rounded_up(prices):
    assert prices.cost_micro_usd("gpt-6.1-terra", usage(1_000, 100)) == 1_500
    assert prices.cost_micro_usd("gpt-6.1-terra", usage(1_000, 100, cached=400)) == 600 + 20 + 500
    assert prices.cost_micro_usd("gpt-6.1-terra", usage(1_000, 0, cached=400, written=200)) == 400 + 20 + 250
    assert prices.cost_micro_usd("gpt-6.1-terra", usage(1, 0, cached=1)) == 1
    assert prices.cost_micro_usd("gpt-6.1-terra", usage(0, 0)) == 0
    assert prices.cost_micro_usd("text-embedding-3-small", usage(1_000_000, 0)) == 20_000


def test_many_input_tokens_cost_more_each(prices):
    assert prices.cost_micro_usd("gpt-6.1-terra", usage(272_000, 0)) == 272_000
    assert prices.cost_micro_usd("gpt-6.1-terra", usage(272_001, 10)) == 544_002 + 75


@pytest.mark.parametrize(
    "model",
    [
        "gpt-6.1-terra-2026-10-01",
        "GPT-6.1-Terra",
        "gpt-6.1-terra-20261001",
        "gpt-6.1-terra@20261001",
        "gpt-6.1-terra@2026-10-01",
        "gpt-6.1-terra@default",
        "models/gpt-6.1-terra",
        "models/GPT-6.1-terra-2026-10-01",
    ],
)
def test_a_name_in_another_spelling_is_the_model(prices, own, model):
    assert prices.cost_micro_usd(model, usage(100, 0)) == 100
    assert own.cost_micro_usd(model, usage(100, 0)) == 1_000


@pytest.mark.parametrize(
    "model", ["nobody-knows", "gpt-6.1-terrax", "", "whisper-1", "models/", "@default", "x/gpt-6.1-terra"]
)
def test_no_known_price_is_none_and_not_nothing(prices, model):
    assert prices.cost_micro_usd(model, usage(1, 1)) is None
    assert prices.bound_micro_usd(model, 1, 1) is None


@pytest.mark.parametrize(
    "model", ["gpt-6.1-terra", "gpt-6-luna", "gpt-4o", "text-embedding-3-small", "own-deployment"]
)
def test_no_usage_costs_more_than_its_bound(prices, own, model):
    chance = random.Random(1)
    for _ in range(500):
        most_in, most_out = chance.choice([10, 1_000, 300_000, 900_000]), chance.choice([0, 100, 100_000])
        prompt, completion = chance.randint(0, most_in), chance.randint(0, most_out)
        cached = chance.randint(0, prompt)
        used = usage(prompt, completion, cached, chance.randint(0, prompt - cached))
        for each in (prices, own):
            cost, bound = each.cost_micro_usd(model, used), each.bound_micro_usd(model, most_in, most_out)
            assert cost is None or cost <= bound


def test_the_packages_own_sums_are_ours(prices):
    chance = random.Random(2)
    for _ in range(200):
        prompt, completion = chance.randint(0, 500_000), chance.randint(0, 50_000)
        cached = chance.randint(0, prompt)
        given = Usage(input_tokens=prompt, cache_read_tokens=cached, output_tokens=completion)
        theirs = calc_price(given, "gpt-6.1-terra", provider_id="openai").total_price * 1_000_000
        ours = prices.cost_micro_usd("gpt-6.1-terra", usage(prompt, completion, cached))
        assert 0 <= ours - theirs < 1


class TestServiceTiers:
    USED = usage(1_000, 100, cached=400)

    @pytest.mark.parametrize(
        ("tier", "cost"),
        [
            (None, 600 + 20 + 500),
            ("auto", 600 + 20 + 500),
            ("default", 600 + 20 + 500),
            ("flex", 300 + 10 + 250),
            ("priority", 1_200 + 40 + 1_000),
            ("fast", 1_200 + 40 + 1_000),
            ("scale", None),
            ("ultrafast", None),
            ("unheard-of", None),
        ],
    )
    def test_each_has_its_own_price(self, prices, tier, cost):
        assert prices.cost_micro_usd("gpt-6.1-terra", self.USED, tier) == cost
        bound = prices.bound_micro_usd("gpt-6.1-terra", 1_000, 100, tier)
        assert (bound is None) == (cost is None)

    @pytest.mark.parametrize("tier", ["flex", "priority", "auto"])
    def test_a_bound_covers_an_answer_of_the_standard_tier(self, prices, tier):
        bound = prices.bound_micro_usd("gpt-6.1-terra", 1_000, 100, tier)

        assert bound >= prices.cost_micro_usd("gpt-6.1-terra", usage(1_000, 100))
        assert bound >= prices.cost_micro_usd("gpt-6.1-terra", usage(1_000, 100), tier)

    def test_a_tier_that_the_package_does_not_price_is_never_as_cheap_as_another(self, prices):
        assert prices.cost_micro_usd("gpt-5.4-nano", self.USED, "priority") is None
        # OpenAI has no dearer flex: its price is bounded by the standard one.
        assert prices.cost_micro_usd("gpt-4o", self.USED, "flex") == prices.cost_micro_usd("gpt-4o", self.USED)

    def test_long_inputs_cost_more_on_each(self, prices):
        assert prices.cost_micro_usd("gpt-6.1-terra", usage(300_000, 0), "priority") >= 2 * 300_000

    def test_the_file_may_have_them(self, own):
        assert own.cost_micro_usd("gpt-6.1-terra", usage(10, 1), "priority") == 450
        assert own.cost_micro_usd("gpt-6.1-terra", usage(10, 1), "fast") is None
        assert own.cost_micro_usd("gpt-6.1-terra", usage(10, 1), "flex") == 120
        # A server with tiers of its own names has the one price of the file.
        assert own.cost_micro_usd("gpt-6.1-terra", usage(10, 1), "on_demand") == 120
        assert own.batch_cost_micro_usd([("gpt-6.1-terra", usage(10, 1))]) == 60


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"prompt_tokens": None, "completion_tokens": "7"},
        {"prompt_tokens": -5, "prompt_tokens_details": None},
        {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 99}},
    ],
)
def test_odd_usages_never_cost_less_than_nothing(prices, odd):
    assert prices.cost_micro_usd("gpt-6.1-terra", UsedTokens.parse(odd)) >= 0


def test_a_file_comes_before_the_package(own, prices):
    assert own.cost_micro_usd("gpt-6.1-terra", usage(1_000, 10, cached=100)) == 9_000 + 50 + 200
    assert own.cost_micro_usd("gpt-6.1-terra", usage(1_001, 10, cached=1)) == 30_030 + 200
    assert own.cost_micro_usd("own-deployment", usage(1, 5)) == 1
    assert own.cost_micro_usd("gpt-4o", usage(100, 0)) == prices.cost_micro_usd("gpt-4o", usage(100, 0)) == 250
    assert prices.version == "genai-prices/0.2.3"
    assert own.version == "genai-prices/0.2.3+file/mine"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("models = 1", "models"),
        ("models.a = 1", "models.a"),
        ("models.a = {output = 1}", "price `input`"),
        ("models.a = {input = -1}", "input"),
        ("models.a = {input = 'x'}", "input"),
        ("models.a = {input = nan}", "input"),
        ("models.a = {input = true}", "input"),
        ("models.a = {input = 1, out = 2}", "out"),
        ("models.a = {input = 1, tiers = [{input = 2}]}", "above"),
        ("models.a = {input = 1, tiers = [{above = 5, output = 2}]}", "price `input`"),
        ("not toml", "."),
    ],
)
def test_a_file_with_a_fault_is_refused_by_name(tmp_path, text, fault):
    (tmp_path / "prices.toml").write_text(text)
    with pytest.raises(ValueError, match=fault):
        Prices(tmp_path / "prices.toml")


def test_a_batch_costs_what_the_list_has_for_that_and_the_sum_is_rounded_up_once(prices):
    def cost(*usages, model="gpt-6.1-terra"):
        return prices.batch_cost_micro_usd([(model, each) for each in usages])

    assert cost(usage(1_000, 100)) == 500 + 250
    assert cost(usage(1_000, 100, cached=400)) == 300 + 10 + 250
    assert cost(usage(1_000, 0, cached=400, written=200)) == 200 + 10 + 125
    assert cost(usage(1, 0)) == 1
    assert cost(usage(1, 0), usage(1, 0), usage(1, 0)) == 2
    assert cost(usage(1, 0, cached=1)) == 1
    assert cost() == 0
    # One that is large costs more for each token; two small ones together do not.
    assert cost(usage(200_000, 0), usage(200_000, 0)) == 200_000
    assert cost(usage(400_000, 0)) == 400_000
    # The list of prices for batches has none for cached tokens of this model, so they cost what they always do.
    assert cost(usage(1_000, 0, cached=1_000), model="gpt-4o-mini") == 75
    assert cost(usage(1_000, 0), model="gpt-4o-mini") == 75


def test_a_batch_of_a_model_that_has_no_price_for_that_costs_half(prices):
    cost = prices.batch_cost_micro_usd([("text-embedding-3-small", UsedTokens(prompt_tokens=1_000_001))])

    assert cost == 10_001


def test_a_batch_with_one_request_of_no_price_has_none(prices):
    assert prices.batch_cost_micro_usd([("gpt-6.1-terra", usage(1, 1)), ("own", usage(1, 1))]) is None
    assert prices.batch_bound_micro_usd("own", [(1, 1)]) is None


def test_a_batch_costs_half_of_what_the_file_says(own):
    cost = own.batch_cost_micro_usd

    assert cost([("gpt-6.1-terra", usage(100, 10, cached=40))]) == 300 + 10 + 100
    assert cost([("gpt-6.1-terra", usage(2_000, 0))]) == 30_000
    assert own.batch_bound_micro_usd("gpt-6.1-terra", [(100, 10), (2_000, 0)]) == 500 + 100 + 30_000
    assert own.batch_bound_micro_usd("Own-Deployment", [(500_000, 0)] * 2) == 1


def test_no_batch_costs_more_than_its_bound(prices):
    numbers = random.Random(5)
    for _ in range(200):
        usages = []
        for _ in range(numbers.randint(1, 5)):
            prompt = numbers.choice([numbers.randint(0, 5_000), numbers.randint(271_000, 280_000)])
            usages.append(
                usage(prompt, numbers.randint(0, 900), numbers.randint(0, prompt), numbers.randint(0, prompt))
            )
        bounds = [(each.prompt_tokens, each.completion_tokens) for each in usages]
        cost = prices.batch_cost_micro_usd([("gpt-6.1-terra", each) for each in usages])
        assert cost <= prices.batch_bound_micro_usd("gpt-6.1-terra", bounds)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "PRICES_FILE: '.*/prices.toml' cannot be read: No such file or directory"),
        ('[models."x"]\noutput = 1\n', "PRICES_FILE: models.x: the price `input` is missing"),
        ("models =", "PRICES_FILE: .+"),
    ],
    ids=["missing", "without a price", "no TOML"],
)
def test_a_price_file_that_cannot_be_used_stops_the_start_and_is_named(make_app, tmp_path, content, problem):
    file = tmp_path / "prices.toml"
    if content is not None:
        file.write_text(content)

    with pytest.raises(ConfigError, match=problem):
        make_app(prices_file=str(file))
