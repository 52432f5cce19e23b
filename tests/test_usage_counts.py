"""Usage: the counts that the upstream tells, parsed once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.billing.ledger.tables import daily_totals, entries, rolled_totals
from app.models.token_counts import FIGURES, Usage, get_figures
from tests.fakes.tables import each_row

WHOLE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3, "audio_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 0},
}


def test_each_count_is_a_field_and_what_was_told_stays_as_it_was():
    usage = Usage.parse(WHOLE)

    assert (usage.prompt_tokens, usage.cached_tokens, usage.cache_write_tokens) == (10, 4, 3)
    assert (usage.input_audio_tokens, usage.completion_tokens) == (2, 5)
    assert (usage.reasoning_tokens, usage.output_audio_tokens) == (1, 0)
    assert usage.is_reported
    assert usage.raw is WHOLE
    assert get_figures(usage) == (10, 4, 3, 5, 1)


@pytest.mark.parametrize("odd", [None, True, -1, "7", 1.5, [], {}])
def test_what_is_no_count_is_unknown_and_not_zero(odd):
    usage = Usage.parse({"prompt_tokens": odd, "completion_tokens": 3, "prompt_tokens_details": odd})

    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (None, None, 3)
    assert not usage.is_reported


@pytest.mark.parametrize("odd", [None, [], "none", 3])
def test_what_is_no_object_is_no_usage(odd):
    assert Usage.parse(odd) is None


def test_a_sum_has_the_counts_of_both_and_each_member_of_both():
    total = Usage.parse(WHOLE) + Usage.parse({"prompt_tokens": 1, "cost": 7})

    assert (total.prompt_tokens, total.completion_tokens, total.cached_tokens) == (11, 5, 4)
    assert total.raw == WHOLE | {"prompt_tokens": 11, "cost": 7}
    assert Usage.parse({}) + Usage.parse(WHOLE) == replace(Usage.parse(WHOLE), is_reported=False)
    assert not total.is_reported


def test_a_sum_of_what_callers_get_adds_up_numbers_of_any_kind():
    total = Usage.parse(WHOLE) + Usage.parse({"prompt_tokens": 2.0, "completion_tokens": 1.0, "cost": 0.5})

    assert total.raw == WHOLE | {"prompt_tokens": 12, "completion_tokens": 6, "cost": 0.5}
    assert total.is_reported


# What servers report, and what it means: prompt, cached and completion tokens, and whether that is certain.
PAIR = {"prompt_tokens": 40, "completion_tokens": 20}
HIDDEN = {"reasoning_tokens": 1000}
WRITTEN_OUT = {
    "the two alone": (PAIR, (40, None, 20, True)),
    "their total": (PAIR | {"total_tokens": 60}, (40, None, 20, True)),
    "floats": ({"prompt_tokens": 40.0, "completion_tokens": 20.0, "total_tokens": 60.0}, (40, None, 20, True)),
    "reasoning in the total alone": (PAIR | {"total_tokens": 1060}, (40, None, 1020, True)),
    "reasoning beside completion, in a section": (
        PAIR | {"total_tokens": 1060, "completion_tokens_details": HIDDEN},
        (40, None, 1020, True),
    ),
    "reasoning beside completion, at the top": (PAIR | HIDDEN | {"total_tokens": 1060}, (40, None, 1020, True)),
    "more reasoning than completion, no total": (PAIR | HIDDEN, (40, None, 1020, False)),
    "more reasoning than completion or total": (PAIR | HIDDEN | {"total_tokens": 60}, (40, None, 1020, False)),
    "reasoning within completion": (
        {
            "prompt_tokens": 40,
            "completion_tokens": 1020,
            "total_tokens": 1060,
            "completion_tokens_details": HIDDEN,
        },
        (40, None, 1020, True),
    ),
    "a total that is too small": (PAIR | {"total_tokens": 50}, (40, None, 20, False)),
    "a total of nothing": (PAIR | {"total_tokens": 0}, (40, None, 20, False)),
    "a total that is none": (PAIR | {"total_tokens": "60"}, (40, None, 20, False)),
    "a total of null": (PAIR | {"total_tokens": None}, (40, None, 20, True)),
    "other names": ({"input_tokens": 40, "output_tokens": 20}, (40, None, 20, True)),
    "DeepSeek's cache": (PAIR | {"prompt_cache_hit_tokens": 30}, (40, 30, 20, True)),
    "Moonshot's cache": (PAIR | {"cached_tokens": 30}, (40, 30, 20, True)),
    "LiteLLM's cache": (PAIR | {"cache_read_input_tokens": 30}, (40, 30, 20, True)),
    "LiteLLM's cache, which is within the prompt": (
        {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60, "cache_read_input_tokens": 30},
        (40, 30, 20, True),
    ),
    "Anthropic's cache, beside the input": (
        {"input_tokens": 40, "output_tokens": 20, "cache_read_input_tokens": 30},
        (70, 30, 20, True),
    ),
    "Anthropic's cache, larger than the input": (
        {
            "input_tokens": 40,
            "output_tokens": 20,
            "cache_read_input_tokens": 500,
            "cache_creation_input_tokens": 60,
        },
        (600, 500, 20, True),
    ),
    "the same under OpenAI's names": (PAIR | {"cache_read_input_tokens": 500}, (540, 500, 20, True)),
    "Anthropic's cache in its total": (
        {"input_tokens": 40, "output_tokens": 20, "cache_read_input_tokens": 500, "total_tokens": 560},
        (540, 500, 20, True),
    ),
    "its names, with a total that has the cache within": (
        {"input_tokens": 40, "output_tokens": 20, "cache_read_input_tokens": 30, "total_tokens": 60},
        (40, 30, 20, True),
    ),
    "two caches": (
        PAIR | {"cached_tokens": 30, "prompt_tokens_details": {"cached_tokens": 10}},
        (40, 10, 20, True),
    ),
    "more cached than prompt": (PAIR | {"prompt_tokens_details": {"cached_tokens": 41}}, (40, None, 20, False)),
    "a section that is none": (PAIR | {"prompt_tokens_details": [30]}, (40, None, 20, True)),
    "a cached count that is none": (PAIR | {"cached_tokens": -1}, (40, None, 20, False)),
    "the total and one of the two": ({"prompt_tokens": 40, "total_tokens": 60}, (40, None, 20, False)),
    "the total and the other": ({"completion_tokens": 20, "total_tokens": 60}, (40, None, 20, False)),
    "the total alone": ({"total_tokens": 60}, (None, None, None, False)),
    "no prompt": ({"prompt_tokens": 0, "completion_tokens": 20}, (None, None, 20, False)),
    "a cached answer": ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, (0, None, 0, True)),
}


@each_row(("raw", "means"), WRITTEN_OUT.values(), ids=WRITTEN_OUT)
def test_each_way_to_write_a_usage_is_read_at_its_dearest(raw, means):
    usage = Usage.parse(raw, wrote=True)

    counts = usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.is_reported
    assert counts == means
    assert usage.raw is raw


NO_COUNTS = [None, -1, 12.5, "20", True, [], {}, float("nan"), float("inf"), 10**8, 2**63, 1e30]


@pytest.mark.parametrize("odd", NO_COUNTS, ids=repr)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_a_count_that_tells_nothing_is_estimated_and_the_other_kept(name, odd):
    usage = Usage.parse(PAIR | {name: odd}, wrote=True)

    assert not usage.is_reported
    assert getattr(usage, name) is None
    whole = usage.complete(Usage(prompt_tokens=77, completion_tokens=88))
    estimated = {"prompt_tokens": 77, "completion_tokens": 88}[name]
    assert (whole.prompt_tokens, whole.completion_tokens) == tuple((PAIR | {name: estimated}).values())


def test_no_output_beside_a_text_tells_nothing():
    raw = {"prompt_tokens": 40, "completion_tokens": 0, "total_tokens": 40}

    assert Usage.parse(raw, wrote=True).completion_tokens is None
    assert Usage.parse(raw, wrote=False).is_reported


@pytest.mark.parametrize(
    "raw",
    [
        {"completion_tokens": 900.5},
        {"completion_tokens": "901"},
        {"total_tokens": 941},
        {"completion_tokens": 20, "total_tokens": "941"},
        {"completion_tokens": 20, "reasoning_tokens": "881"},
    ],
    ids=repr,
)
def test_what_is_told_of_a_count_is_the_least_of_its_estimate(raw):
    usage = Usage.parse({"prompt_tokens": 40, **raw}, wrote=True)

    assert usage.complete(Usage(prompt_tokens=7, completion_tokens=8)).completion_tokens == 901


@pytest.mark.parametrize(
    ("raw", "means"),
    [
        ({"prompt_tokens": 5, "total_tokens": 5}, (5, True)),
        ({"prompt_tokens": 5}, (5, True)),
        ({"total_tokens": 5}, (5, True)),
        ({"prompt_tokens": 5.0, "total_tokens": 5.0}, (5, True)),
        ({"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}, (5, True)),
        ({"prompt_tokens": 5, "total_tokens": 9}, (9, False)),
        ({"prompt_tokens": 5, "total_tokens": 0}, (5, False)),
        ({"prompt_tokens": None, "total_tokens": "5"}, (None, False)),
        ({"prompt_tokens": -5}, (None, False)),
        ({}, (None, False)),
    ],
    ids=repr,
)
def test_vectors_have_no_output_and_their_total_is_their_input(raw, means):
    usage = Usage.parse(raw, has_output=False)

    assert (usage.prompt_tokens, usage.is_reported) == means


@pytest.mark.parametrize("table", [entries, daily_totals, rolled_totals], ids=lambda table: table.name)
def test_the_ledger_has_a_column_for_each_figure(table):
    assert set(FIGURES) <= set(table.columns.keys())
