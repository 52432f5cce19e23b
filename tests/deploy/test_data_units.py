"""The units that look after the data run commands that there are, as bounded as that of the batches."""

from __future__ import annotations

import pytest

from tests.deploy.test_unit import values_of

OWN = {"Description", "Documentation", "ExecStart", "TimeoutStartSec"}


@pytest.mark.parametrize("name", ["prune", "outbox"])
def test_a_unit_differs_from_that_of_the_batches_in_its_command_alone(name, app):
    unit, batches = values_of(f"gatehouse-{name}.service"), values_of("gatehouse-batches.service")

    assert {key: value for key, value in unit.items() if key not in OWN} == {
        key: value for key, value in batches.items() if key not in OWN
    }
    (command,) = unit["ExecStart"]
    program, *words = command.split()
    assert program == "/opt/gatehouse/.venv/bin/flask"
    assert app.test_cli_runner().invoke(args=[*words, "--help"]).exit_code == 0


@pytest.mark.parametrize(
    ("name", "begins"), [("prune", {"OnCalendar", "Persistent"}), ("outbox", {"OnBootSec", "OnUnitInactiveSec"})]
)
def test_a_timer_begins_it(name, begins):
    timer = values_of(f"gatehouse-{name}.timer")

    assert begins < set(timer)
    assert timer["WantedBy"] == ["timers.target"]
    assert "Unit" not in timer
