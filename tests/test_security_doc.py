"""docs/security.md names places and tests that exist; each of its rows has one of both."""

from __future__ import annotations

import ast
import re

import pytest

from tests.fakes.servers import ROOT

ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs" / "security.md").read_text("utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| threat", "| ---"))
]


def functions_of(name: str) -> set[str]:
    tree = ast.parse((ROOT / name).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_table_is_whole() -> None:
    assert len(ROWS) >= 35
    assert {len(row) for row in ROWS} == {4}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_every_row_names_a_place_and_a_test_that_exist(row: list[str]) -> None:
    places, tests = (re.findall(r"`([^`]+)`", cell) for cell in row[2:])

    assert places
    assert tests
    assert not [place for place in places if not (ROOT / place).exists()]
    for test in tests:
        file, _, name = test.partition("::")
        assert name in functions_of(file), test
