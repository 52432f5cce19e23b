"""docs/security.md names places and tests that exist; each of its rows has one of both."""

from __future__ import annotations

import ast
import re
from functools import cache

from tests.fakes.servers import ROOT
from tests.fakes.tables import each_row

ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs" / "security.md").read_text("utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| threat", "| ---"))
]


@cache
def list_tests(name: str) -> set[str]:
    """The tests of a file, under the names by which pytest runs them."""
    found = set()
    for node in ast.parse((ROOT / name).read_text("utf-8")).body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {f"{prefix}{each.name}" for each in inner if isinstance(each, ast.FunctionDef)}
    return found


def test_the_table_is_whole() -> None:
    assert len(ROWS) >= 35
    assert {len(row) for row in ROWS} == {4}


@each_row("row", ROWS)
def test_every_row_names_a_place_and_a_test_that_exist(row: list[str]) -> None:
    places, tests = (re.findall(r"`([^`]+)`", cell) for cell in row[2:])

    assert places
    assert tests
    assert not [place for place in places if not (ROOT / place).exists()]
    for test in tests:
        file, _, name = test.partition("::")
        assert name in list_tests(file), test
