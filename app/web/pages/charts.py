"""Lay out stacked bar charts, which a template draws as SVG, without scripts and inline styles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

WIDTH, HEIGHT = 960, 220
SERIES = 7
"""How many series have their own colour. If there are more, the last one is the sum of all others."""

OTHERS = "others"

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 8, 12, 24
_MAX_BARS = 92
_MAX_BAR_WIDTH = 80
"""So that the bar of a single day does not fill the chart."""
_DAYS_OF_WEEK = 7
_MAX_LABELS = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """A segment of a stacked bar: its position and size, and the index of its series."""

    x: float
    y: float
    width: float
    height: float
    series: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The layout of a chart.

    Attributes:
        ticks: the height and text of each grid line.
        labels: the position and text of each label below the bars.
        series: the names of the series, in the order of their colours.
        step: the period of one bar: day or week.
    """

    bars: list[Bar]
    ticks: list[tuple[float, str]]
    labels: list[tuple[float, str]]
    series: list[str]
    step: str


def list_days(first: str, last: str) -> list[list[str]]:
    """Return the days of each bar: one day, or a week if there are many days. The first week may be incomplete."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    days = [(start + timedelta(days=number)).isoformat() for number in range((end - start).days + 1)]
    if len(days) <= _MAX_BARS:
        return [[day] for day in days]
    before = len(days) % _DAYS_OF_WEEK
    weeks = [days[at : at + _DAYS_OF_WEEK] for at in range(before, len(days), _DAYS_OF_WEEK)]
    return [days[:before], *weeks] if before else weeks


def choose_series(totals: Mapping[str, int]) -> list[str]:
    """Return the names that get their own colour, the largest first, and `others` for the rest."""
    names = sorted(totals, key=lambda name: (-totals[name], name))
    return names if len(names) <= SERIES else [*names[: SERIES - 1], OTHERS]


def stack_bars(
    groups: Sequence[Sequence[str]],
    values: Mapping[tuple[str, str], int],
    series: Sequence[str],
    show: Callable[[float], str],
) -> Chart:
    """Lay out a chart.

    Args:
        groups: the days of each bar.
        values: the values by day and name.
        series: the names that choose_series() returned.
        show: formats a value.
    """
    series_index = {name: number for number, name in enumerate(series)}
    sums: list[dict[int, int]] = []
    by_day: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for (day, name), value in values.items():
        by_day[day][series_index.get(name, len(series) - 1)] += value
    for group in groups:
        stack: dict[int, int] = defaultdict(int)
        for day in group:
            for number, value in by_day.get(day, {}).items():
                stack[number] += value
        sums.append(stack)
    top = _round_up(max((sum(stack.values()) for stack in sums), default=0))
    room, high = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    pitch = room / len(groups)
    gap = max(min(4.0, pitch / 4), pitch - _MAX_BAR_WIDTH)
    bars = []
    for at, stack in enumerate(sums):
        y = float(HEIGHT - _BOTTOM)
        for number in sorted(stack):
            height = stack[number] / top * high
            y -= height
            if height > 0:
                x = _LEFT + at * pitch + gap / 2
                bars.append(Bar(round(x, 1), round(y, 2), round(pitch - gap, 1), round(height, 2), number))
    every = -(-len(groups) // _MAX_LABELS)
    return Chart(
        bars=bars,
        ticks=[(HEIGHT - _BOTTOM - high * part / 4, show(top * part / 4)) for part in range(5)],
        labels=[
            (round(_LEFT + (at + 0.5) * pitch, 1), group[0][5:])
            for at, group in enumerate(groups)
            if at % every == 0
        ],
        series=list(series),
        step="day" if all(len(group) == 1 for group in groups) else "week",
    )


def _round_up(value: int) -> int:
    """Return the next larger number whose quarters are round."""
    if value <= 0:
        return 4
    power = 1
    while True:
        for step in (4, 8, 12, 16, 20, 24, 32):
            if value <= step * power:
                return step * power
        power *= 10
