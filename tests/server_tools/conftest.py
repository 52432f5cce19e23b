from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import app.tools


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Adds a file to app/tools, for the time of a test."""
    monkeypatch.setattr(app.tools, "__path__", [*app.tools.__path__, str(tmp_path)])
    before = set(sys.modules)

    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("app.tools."):
            del sys.modules[name]
            vars(app.tools).pop(name.rpartition(".")[2], None)
