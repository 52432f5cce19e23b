"""The units that look after the data run commands that there are, as bounded as that of the batches."""

from __future__ import annotations

import click
import pytest

from tests.deploy.test_unit import values_of
from tests.fakes.servers import ROOT

OWN = {"Description", "Documentation", "ExecStart", "TimeoutStartSec", "ReadWritePaths"}


@pytest.mark.parametrize("name", ["prune", "outbox", "backup", "reconcile"])
def test_a_unit_differs_from_that_of_the_batches_in_its_command_alone(name, app):
    unit, batches = values_of(f"gatehouse-{name}.service"), values_of("gatehouse-batches.service")

    assert {key: value for key, value in unit.items() if key not in OWN} == {
        key: value for key, value in batches.items() if key not in OWN
    }
    (command,) = unit["ExecStart"]
    program, *words = command.split()
    assert program == "/opt/gatehouse/.venv/bin/flask"
    assert app.test_cli_runner().invoke(args=[*words, "--help"]).exit_code == 0
    options = app.cli.get_command(click.Context(app.cli), words[0]).params
    known = {option for each in options for option in each.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        *((name, {"OnCalendar", "Persistent"}) for name in ("prune", "backup", "reconcile")),
        ("outbox", {"OnBootSec", "OnUnitInactiveSec"}),
    ],
)
def test_a_timer_begins_it(name, begins):
    timer = values_of(f"gatehouse-{name}.timer")

    assert begins < set(timer)
    assert timer["WantedBy"] == ["timers.target"]
    assert "Unit" not in timer


def test_the_backup_may_write_where_it_writes_to():
    unit = values_of("gatehouse-backup.service")
    (folder,) = unit["ReadWritePaths"]

    assert f" --into {folder} " in unit["ExecStart"][0]
    assert f"-m 0700 {folder}" in (ROOT / "docs" / "operations.md").read_text("utf-8")
