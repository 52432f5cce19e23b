"""docs/frontend.md shows the examples as they are. `make clients` runs them."""

from __future__ import annotations

import re

import pytest

from tests.fakes.servers import ROOT

GUIDE = (ROOT / "docs" / "frontend.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\w+\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
EXAMPLES = ROOT / "examples"


@pytest.mark.parametrize(
    "file",
    [
        "react-vite/src/Chat.jsx",
        "tokens/express.js",
        "tokens/next/app/gatehouse-token/route.js",
        "tokens/django_view.py",
        "tokens/gatehouse-token.php",
        "tokens/gatehouse_tokens_controller.rb",
    ],
)
def test_a_recipe_is_printed_as_it_is(file: str) -> None:
    assert (EXAMPLES / file).read_text(encoding="utf-8") in BLOCKS


def test_the_route_of_the_flask_site_is_printed_as_it_is() -> None:
    site = (EXAMPLES / "flask-site" / "app.py").read_text(encoding="utf-8")

    assert any("/gatehouse-token" in block and site.endswith(block) for block in BLOCKS)


def test_each_example_is_in_the_guide_and_in_its_list() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    names = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}

    assert names
    assert not [name for name in names if f"../examples/{name}" not in GUIDE or f"({name})" not in listed]


def test_the_guide_names_all_that_gatehouse_js_can_do() -> None:
    types = (ROOT / "app" / "web" / "static" / "gatehouse.d.ts").read_text(encoding="utf-8")
    of_client = types.partition("export interface GatehouseOptions")[0]
    methods = set(re.findall(r"^  (\w+)(?:<.*?>)?\(", of_client, re.MULTILINE)) - {"constructor"}

    assert len(methods) >= 10
    assert not [name for name in methods if name not in GUIDE]
