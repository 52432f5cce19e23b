"""Lay out stacked bars, which a template draws as SVG: no script, no style in the markup."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

WIDTH, HEIGHT = 960, 220
SERIES = 7
"""How many series have a colour of their own. The last one is of all others together, if there are more."""

OTHERS = "others"

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 8, 12, 24
_MOST_BARS = 92
_WIDEST_BAR = 80
"""A day alone is a bar too, and no wall."""
_DAYS_OF_WEEK = 7
_MOST_LABELS = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a bar: where it is, and which series it is of."""

    x: float
    y: float
    width: float
    height: float
    series: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart, laid out.

    Attributes:
        ticks: height and text of each line.
        labels: place and text of each label below.
        series: their names, in the order of their colours.
        step: what one bar stands for: day or week.
    """

    bars: list[Bar]
    ticks: list[tuple[float, str]]
    labels: list[tuple[float, str]]
    series: list[str]
    step: str


def list_days(first: str, last: str) -> list[list[str]]:
    """Return the days that each bar stands for: one each, or a week each if they were too many, the last one whole."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    days = [(start + timedelta(days=number)).isoformat() for number in range((end - start).days + 1)]
    if len(days) <= _MOST_BARS:
        return [[day] for day in days]
    before = len(days) % _DAYS_OF_WEEK
    weeks = [days[at : at + _DAYS_OF_WEEK] for at in range(before, len(days), _DAYS_OF_WEEK)]
    return [days[:before], *weeks] if before else weeks


def choose_series(totals: Mapping[str, int]) -> list[str]:
    """Return the names that have a colour of their own, the largest first, and `others` for the rest."""
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
        values: by day and name.
        series: from choose_series().
        show: writes a value as text.
    """
    place = {name: number for number, name in enumerate(series)}
    sums: list[dict[int, int]] = []
    by_day: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for (day, name), value in values.items():
        by_day[day][place.get(name, len(series) - 1)] += value
    for group in groups:
        stack: dict[int, int] = defaultdict(int)
        for day in group:
            for number, value in by_day.get(day, {}).items():
                stack[number] += value
        sums.append(stack)
    top = _round_up(max((sum(stack.values()) for stack in sums), default=0))
    room, high = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    pitch = room / len(groups)
    gap = max(min(4.0, pitch / 4), pitch - _WIDEST_BAR)
    bars = []
    for at, stack in enumerate(sums):
        y = float(HEIGHT - _BOTTOM)
        for number in sorted(stack):
            height = stack[number] / top * high
            y -= height
            if height > 0:
                x = _LEFT + at * pitch + gap / 2
                bars.append(Bar(round(x, 1), round(y, 2), round(pitch - gap, 1), round(height, 2), number))
    every = -(-len(groups) // _MOST_LABELS)
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
    """Return the next number whose quarters are round."""
    if value <= 0:
        return 4
    power = 1
    while True:
        for step in (4, 8, 12, 16, 20, 24, 32):
            if value <= step * power:
                return step * power
        power *= 10
