"""The tables of a run: medians over its rounds, ratios taken round by round, and the goals."""

import statistics
from collections.abc import Sequence

from bench.goals import GOALS, verdict
from bench.measures import ROWS, Rows
from bench.targets import NGINX, PRODUCT, TUTORIAL, Target

Rounds = list[dict[str, Rows]]


def tables(rounds: Rounds, targets: Sequence[Target]) -> str:
    """Return the report as text."""
    names = [target.name for target in targets if any(target.name in each for each in rounds)]
    products = [target.name for target in targets if target.kind == PRODUCT and target.name in names]
    parts = [_figures(rounds, names), _ratios(rounds, names, products)]
    parts += [_goals(rounds, product) for product in products]
    return "\n\n".join(part for part in parts if part)


def median(rounds: Rounds, name: str, row: str) -> float | None:
    """Return the median of a target's row, over the rounds that have it."""
    values = [each[name][row] for each in rounds if row in each.get(name, {})]
    return statistics.median(values) if values else None


def ratio(rounds: Rounds, name: str, base: str, row: str) -> float | None:
    """The median of the rounds' ratios of two targets, without rounds whose base is not positive."""
    pairs = [
        (each[name][row], each[base][row])
        for each in rounds
        if row in each.get(name, {}) and row in each.get(base, {}) and each[base][row] > 0
    ]
    return statistics.median(value / of for value, of in pairs) if pairs else None


def _figures(rounds: Rounds, names: Sequence[str]) -> str:
    lines = [[f"medians of {len(rounds)}", *names]]
    for key, row in ROWS.items():
        values = [median(rounds, name, key) for name in names]
        if any(value is not None for value in values):
            lines.append([row.title, *(_number(value, row.digits) for value in values)])
    return _aligned(lines)


def _ratios(rounds: Rounds, names: Sequence[str], products: Sequence[str]) -> str:
    # Without Gatehouse, the tutorial design is still compared with nginx.
    tops = products or [TUTORIAL]
    pairs = [
        (top, base) for top in tops for base in (NGINX, TUTORIAL) if {top, base} <= set(names) and top != base
    ]
    lines = [["ratios, round by round", *(f"{top} / {base}" for top, base in pairs)]]
    for key, row in ROWS.items():
        values = [ratio(rounds, top, base, key) for top, base in pairs]
        if row.has_ratio and any(value is not None for value in values):
            lines.append([_full_title(key), *(_number(value, 3) for value in values)])
    return _aligned(lines) if pairs else ""


def _goals(rounds: Rounds, product: str) -> str:
    lines = [[f"goals for {product}", "measured", "any good version", "what we are after"]]
    for goal in GOALS:
        value = median(rounds, product, goal.row)
        if value is not None:
            bases = {base: ratio(rounds, product, base, goal.row) for base in (NGINX, TUTORIAL)}
            shown = _number(value, ROWS[goal.row].digits)
            good, aim = verdict(goal.good, value, bases), verdict(goal.aim, value, bases)
            lines.append([_full_title(goal.row), shown, good, aim])
    return _aligned(lines) if len(lines) > 1 else ""


def _full_title(key: str) -> str:
    """An indented row's title with the subject of the row that it stands under."""
    subject = ""
    for other, row in ROWS.items():
        if not row.title.startswith(" "):
            subject = row.title.rpartition(": ")[0] or row.title.partition(",")[0]
        if other == key:
            return f"{subject}: {row.title.strip()}" if row.title.startswith(" ") else row.title
    raise KeyError(key)


def _number(value: float | None, digits: int) -> str:
    return "·" if value is None else f"{value:,.{digits}f}"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return a table whose columns have the width of their widest cell; all but the first are aligned right."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    rows = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([rows[0], "─" * (sum(widths) + 2 * len(widths) - 2), *rows[1:]])
