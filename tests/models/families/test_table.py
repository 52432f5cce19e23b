from __future__ import annotations

from app.models.families import table
from tests.fakes.servers import ROOT

PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


def test_the_page_has_the_tables_of_the_file():
    assert table.replace_tables(PAGE) == PAGE, "run `make models`"


def test_a_row_has_what_is_known_of_a_family():
    (row,) = [line for line in table.render_families().splitlines() if "`gpt-6-astra`" in line]

    assert row == (
        "| `gpt-6-astra`, `gpt-6.1-sol` | `/chat/completions`, `/responses` "
        "| low, medium, high, xhigh, max (`/responses` only) | medium | never | never | no | low, medium, high | yes | yes |"
    )


def test_prices_are_those_of_the_package_with_the_dearer_tier():
    rows = table.render_prices().splitlines()

    assert "| `gpt-6.1-terra` | 1 | 0.05 | 1.25 | 5 |" in rows
    assert "| `gpt-5.4` above 272,000 input tokens | 5 | 0.5 | – | 22.5 |" in rows


def test_models_that_are_gone_are_among_the_shutdowns_only():
    assert "`gpt-4`" in table.render_shutdowns()
    assert "`gpt-4`" not in table.render_families() + table.render_prices()
