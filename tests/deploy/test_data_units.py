"""The units that look after the data run commands that there are, as bounded as that of the batches."""

from __future__ import annotations

import shutil
import subprocess

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
    known = {option for each in app.cli.commands[words[0]].params for option in each.opts}
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


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_all_units(tmp_path):
    """With the program and the folder of the checkout in the places of those of an installation."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("flask", "gunicorn", "python"):
        (tmp_path / ".venv" / "bin" / name).symlink_to("/bin/true")
    units = [*(ROOT / "deploy").glob("gatehouse*.service"), *(ROOT / "deploy").glob("gatehouse*.timer")]
    for unit in units:
        (tmp_path / unit.name).write_text(unit.read_text("utf-8").replace("/opt/gatehouse", str(tmp_path)))
    (tmp_path / "gatehouse.socket").write_text((ROOT / "deploy" / "gatehouse.socket").read_text("utf-8"))
    command = ["systemd-analyze", "verify", "--man=no", *sorted(map(str, tmp_path.glob("gatehouse*")))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert len(units) >= 11
    assert not [line for line in done.stderr.splitlines() if str(tmp_path) in line or "gatehouse" in line], (
        done.stderr
    )
