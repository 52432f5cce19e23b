from __future__ import annotations

from itertools import pairwise

import pytest

from app.web.pages.charts import HEIGHT, OTHERS, SERIES, choose_series, list_days, stack_bars


def test_a_bar_is_a_day_or_a_week_of_which_the_last_is_whole():
    assert list_days("2026-11-26", "2026-11-27") == [["2026-11-26"], ["2026-11-27"]]
    weeks = list_days("2025-11-28", "2026-11-27")
    assert (len(weeks), len(weeks[0]), len(weeks[-1])) == (53, 1, 7)
    assert weeks[-1][-1] == "2026-11-27"
    assert len({day for week in weeks for day in week}) == 365


def test_the_largest_have_a_colour_of_their_own():
    assert choose_series({"a": 1, "b": 3, "c": 2}) == ["b", "c", "a"]
    many = choose_series({f"m{number}": number for number in range(30)})
    assert (len(many), many[0], many[-1]) == (SERIES, "m29", OTHERS)


def test_parts_stand_on_each_other_and_are_as_high_as_their_share():
    chart = stack_bars([["d"]], {("d", "a"): 30, ("d", "b"): 10}, ["a", "b"], str)

    low, high = chart.bars
    assert low.height == pytest.approx(3 * high.height, abs=0.02)
    assert low.y == pytest.approx(high.y + high.height, abs=0.02)
    assert low.y + low.height == pytest.approx(HEIGHT - 24, abs=0.02)
    assert {low.series, high.series} == {0, 1}


@pytest.mark.parametrize("largest", [0, 1, 3, 4, 5, 99, 1_000_001, 10**15])
def test_the_scale_is_round_and_holds_the_largest(largest):
    chart = stack_bars([["d"]], {("d", "a"): largest}, ["a"], lambda value: f"{value:.0f}")

    ticks = [int(text) for _, text in chart.ticks]
    assert ticks[0] == 0
    assert ticks[-1] >= largest
    assert [tick - before for before, tick in pairwise(ticks)] == [ticks[1]] * 4
    assert all(bar.height > 0 and bar.y >= 0 for bar in chart.bars)


def test_nothing_is_no_bar_but_a_scale():
    chart = stack_bars([["d"], ["e"]], {}, [], str)

    assert chart.bars == []
    assert len(chart.ticks) == 5


@pytest.mark.parametrize("count", [1, 2, 7])
def test_few_bars_stand_apart_each_above_its_label(count):
    days = [f"2026-11-2{number}" for number in range(count)]
    chart = stack_bars([[day] for day in days], {(day, "a"): 1 for day in days}, ["a"], str)

    assert {bar.width for bar in chart.bars} == {80}
    middles = [bar.x + bar.width / 2 for bar in chart.bars]
    assert middles == pytest.approx([x for x, _ in chart.labels], abs=0.2)
