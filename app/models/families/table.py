"""Write the tables of docs/models.md from families.toml and the prices of genai-prices, for `make models`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from genai_prices.data_snapshot import get_snapshot

from app.models.families.catalog import load_families, read_table
from app.models.families.family import Family

_WHEN = {"yes": "yes", "without_reasoning": "while `none`", "never": "never"}
_PRICES = ("input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok")


def render_families() -> str:
    """Return the table of what each served family accepts; families with the same rules share a row."""
    alike: dict[Family, list[str]] = {}
    for family in _list_served():
        alike.setdefault(replace(family, name="", shutdown=None), []).append(f"`{family.name}`")
    heads = "models | served on | `reasoning_effort` | default | tools on chat | sampling | `stop` | verbosity | cache breakpoints | `detail: original`"
    return _render(heads, ([", ".join(models), *_describe(rules)] for rules, models in alike.items()))


def render_prices() -> str:
    """Return the table of the prices of each family, with a further row for each tier of long inputs."""
    rows = []
    for family in _list_served():
        prices = _find_prices(family.name)
        if prices is None:
            continue
        for start in _list_tiers(prices):
            above = f" above {start:,} input tokens" if start else ""
            cells = [_format_price(getattr(prices, name, None), start) for name in _PRICES]
            rows.append([f"`{family.name}`{above}", *cells])
    return _render("model | input | cache read | cache write | output", rows)


def render_shutdowns() -> str:
    """Return the table of the announced shutdowns, the latest first."""
    days = sorted(read_table()["shutdowns"].items(), reverse=True)
    return _render("day | models", ([day, ", ".join(f"`{model}`" for model in models)] for day, models in days))


def render_sources() -> str:
    """Return the table of the sources of all rules."""
    rows = [
        [group, f"`{name}`", _link(rule["source"]), str(rule["date"])]
        for group, rules in read_table()["groups"].items()
        for name, rule in rules.items()
        if name not in ("like", "models")
    ]
    return _render("group | rule | source | compared on", rows)


_TABLES = {
    "families": render_families,
    "prices": render_prices,
    "shutdowns": render_shutdowns,
    "sources": render_sources,
}


def replace_tables(page: str) -> str:
    """Return a page with each table between its two markers replaced."""
    for name, render in _TABLES.items():
        begin, end = f"<!-- {name}: written by `make models` -->", f"<!-- /{name} -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n{render()}\n{end}{rest.partition(end)[2]}"
    return page


def _get_date() -> date:
    """Return the date of the page: the day on which the parameters were last compared with their source."""
    day: date = read_table()["parameters"]["date"]
    return day


def _list_served() -> list[Family]:
    return [
        family for family in load_families().values() if family.shutdown is None or family.shutdown > _get_date()
    ]


def _describe(family: Family) -> Iterator[str]:
    chat = ["`/chat/completions`"] if family.chat else []
    responses = ["`/responses`"] if family.responses else []
    yield ", ".join(chat + responses)
    only_responses = [effort for effort in family.responses_efforts if effort not in family.efforts]
    efforts = [*family.efforts, *(f"{effort} (`/responses` only)" for effort in only_responses)]
    yield ", ".join(efforts) or "refused"
    yield family.default_effort or "–"
    yield _WHEN[family.chat_tools] if family.chat else "–"
    yield _WHEN[family.sampling]
    yield "yes" if family.takes_stop and family.chat else "no"
    yield ", ".join(family.verbosities)
    yield "yes" if family.has_cache_breakpoints else "no"
    yield "yes" if family.takes_original_detail else "no"


def _find_prices(model: str) -> Any:
    try:
        _, found = get_snapshot().find_provider_model(model, None, "openai", None)
    except LookupError:
        return None
    prices = found.get_prices(datetime.combine(_get_date(), time(), UTC))
    return prices if getattr(prices, "input_mtok", None) is not None else None


def _list_tiers(prices: Any) -> list[int]:
    found = (getattr(prices, name, None) for name in _PRICES)
    return sorted({0, *(tier.start for price in found for tier in getattr(price, "tiers", ()))})


def _format_price(price: Any, above: int) -> str:
    current: Decimal | None = getattr(price, "base", price)
    for tier in getattr(price, "tiers", ()):
        if tier.start <= above:
            current = tier.price
    return "–" if current is None else f"{current.normalize():f}"


def _link(source: str) -> str:
    issue = r"\b([\w.-]+/[\w.-]+)#(\d+)"
    return re.sub(issue, r"[\1#\2](https://github.com/\1/issues/\2)", source)


def _render(heads: str, rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {heads} |", f"| {' | '.join('---' for _ in heads.split(' | '))} |"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(replace_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
