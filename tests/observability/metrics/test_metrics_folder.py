"""The folder that gunicorn's master makes for its workers' counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.arbiter.metrics_folder import prepare_folder

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")


def test_a_server_begins_with_an_empty_folder_and_a_reload_leaves_it(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "metrics"
    folder.mkdir(parents=True)
    (folder / "counter_1.db").touch()

    assert prepare_folder(folder) is None
    assert list(folder.iterdir()) == []
    (folder / "counter_2.db").touch()
    assert prepare_folder(folder) is None
    assert [path.name for path in folder.iterdir()] == ["counter_2.db"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").touch()

    problem = prepare_folder(tmp_path / "state" / "metrics")

    assert problem is not None
    assert "check STATE_DIR" in problem
