"""Usage: the counts that the upstream tells, parsed once."""

from __future__ import annotations

import pytest

from app.ledger.tables import daily_totals, entries
from app.token_counts import FIGURES, Usage, get_figures

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
    assert get_figures(usage) == (10, 4, 5, 1)


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
    assert Usage.parse({}) + Usage.parse(WHOLE) == Usage.parse(WHOLE)


@pytest.mark.parametrize("table", [entries, daily_totals], ids=lambda table: table.name)
def test_the_ledger_has_a_column_for_each_figure(table):
    assert set(FIGURES) <= set(table.columns.keys())
