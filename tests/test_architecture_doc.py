"""docs/architecture.md and CONTRIBUTING.md name files and packages as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fakes.servers import ROOT
from tests.test_structure import ORDER

PAGES = [ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md", ROOT / "docs" / "decisions.md"]
MAP = PAGES[0].read_text(encoding="utf-8").partition("\n## Packages\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_is_named_exists(page: Path) -> None:
    named = set(
        re.findall(r"`((?:app|server|tests|tools|prompts|schemas|deploy|docs)/[\w./-]*)", page.read_text("utf-8"))
    )

    assert not sorted(path for path in named if not (ROOT / path).exists())


def test_every_package_is_on_the_map() -> None:
    parts = [path for path in (ROOT / "app").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]

    named = {f"app/{path.name}" for path in parts}
    assert not sorted(name for name in named if f"`{name}`" not in MAP and f"`{name}/`" not in MAP)


def test_the_map_has_the_order_of_imports() -> None:
    paths = re.findall(
        r"^\| `app/([\w/]+?(?:\.py)?)/?` \|", MAP.split("Two packages are divided further.")[0], re.MULTILINE
    )
    mapped = [path.removesuffix(".py").replace("/", ".") for path in paths]

    assert mapped == [name for name in ORDER if name in mapped]


def test_every_private_part_that_is_listed_is_used() -> None:
    from tests.test_private_apis import FILES, LISTED_NAMES

    used = {name for file in FILES for name in re.findall(r"\b_\w+", file.read_text("utf-8"))}
    assert not sorted(LISTED_NAMES - used)
