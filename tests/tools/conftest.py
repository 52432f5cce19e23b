from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The TOOLS_DIR of a test."""
    made = tmp_path / "tools"
    made.mkdir()
    return made


@pytest.fixture
def add(folder: Path) -> Callable[[str, str], None]:
    """Adds a file to TOOLS_DIR."""

    def write(name: str, text: str) -> None:
        (folder / f"{name}.py").write_text(textwrap.dedent(text), encoding="utf-8")

    return write
