"""What deploy/, gunicorn.conf.py and .env.example say about the same things, compared."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask

from tests.fakes.servers import ROOT, read_gunicorn_settings

SECONDS = {"": 1, "s": 1, "m": 60}
BYTES = {"": 1, "k": 1024, "m": 1024**2}


def values_of(name: str) -> dict[str, list[str]]:
    """All values of each key of a unit, whatever its section."""
    values: dict[str, list[str]] = {}
    for line in (ROOT / "deploy" / name).read_text("utf-8").splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            values.setdefault(key, []).append(value)
    return values


@pytest.fixture(scope="module")
def unit() -> dict[str, list[str]]:
    return values_of("gatehouse.service")


@pytest.fixture(scope="module")
def batches_unit() -> dict[str, list[str]]:
    return values_of("gatehouse-batches.service")


@pytest.fixture(scope="module")
def unit_environment(unit: dict[str, list[str]]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in unit["Environment"])


@pytest.fixture(scope="module")
def gunicorn_settings(unit_environment: dict[str, str]) -> dict[str, str]:
    """What gunicorn makes of gunicorn.conf.py under the unit."""
    read, _ = read_gunicorn_settings(**{**unit_environment, "APP_ENV": "development"})
    return read


@pytest.fixture(scope="module")
def example() -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))


def of_site(name: str, units: dict[str, int]) -> int:
    """A directive of the site, which must be there once, as a number."""
    values = re.findall(
        rf"^ *{name} (\d+)([a-z]?);", (ROOT / "deploy/nginx.conf").read_text("utf-8"), re.MULTILINE
    )
    ((number, unit),) = values
    return int(number) * units[unit]


def test_unit_starts_the_gunicorn_of_the_checkout(unit: dict[str, list[str]]) -> None:
    (folder,) = unit["WorkingDirectory"]
    assert unit["ExecStart"] == [f"{folder}/.venv/bin/gunicorn wsgi:app"]
    check, reload = unit["ExecReload"]
    assert check == f'{folder}/.venv/bin/python -c "import wsgi"'
    assert reload == "/bin/kill -HUP $MAINPID"


def test_gunicorn_listens_where_the_site_looks_for_it(
    unit: dict[str, list[str]], gunicorn_settings: dict[str, str]
) -> None:
    (server,) = re.findall(r"^ *server (unix:\S+);", (ROOT / "deploy/nginx.conf").read_text("utf-8"), re.MULTILINE)
    assert gunicorn_settings["bind"] == f"['{server}']"
    assert str(Path(server.removeprefix("unix:")).parent) == f"/run/{unit['RuntimeDirectory'][0]}"


def test_unit_serves_in_production_behind_one_proxy(unit_environment: dict[str, str]) -> None:
    assert unit_environment["APP_ENV"] == "production"
    assert unit_environment["TRUSTED_PROXIES"] == "1"


def test_unit_is_not_started_again_over_faults_in_the_settings(unit: dict[str, list[str]]) -> None:
    assert unit["Restart"] == ["on-failure"]
    assert unit["RestartPreventExitStatus"] == ["4"]


def test_only_nginx_can_reach_the_socket(unit: dict[str, list[str]]) -> None:
    assert unit["Group"] == ["www-data"]
    assert unit["RuntimeDirectoryMode"] == ["0750"]
    of_socket = values_of("gatehouse.socket")
    assert (of_socket["SocketUser"], of_socket["SocketGroup"]) == (unit["User"], unit["Group"])
    assert of_socket["SocketMode"] == ["0660"]


def test_systemd_holds_the_socket_while_the_service_restarts(unit: dict[str, list[str]]) -> None:
    (path,) = values_of("gatehouse.socket")["ListenStream"]
    assert f"BIND=unix:{path}" in unit["Environment"]
    assert unit["Requires"] == ["gatehouse.socket"]
    assert "gatehouse.socket" in unit["After"][0].split()
    assert unit["RuntimeDirectoryPreserve"] == ["yes"]  # else the socket's file would go with the folder


def test_limits_in_time_contain_each_other(
    unit: dict[str, list[str]], gunicorn_settings: dict[str, str], example: dict[str, str]
) -> None:
    request_s = int(example["REQUEST_TIMEOUT_S"])
    graceful_s = int(gunicorn_settings["graceful_timeout"])
    assert request_s < of_site("proxy_read_timeout", SECONDS)
    assert int(example["HEARTBEAT_S"]) < of_site("proxy_read_timeout", SECONDS)
    assert request_s < graceful_s < int(unit["TimeoutStopSec"][0])
    assert of_site("keepalive_timeout", SECONDS) < int(gunicorn_settings["keepalive"])


def test_site_takes_bodies_as_large_as_the_application_does(example: dict[str, str]) -> None:
    assert of_site("client_max_body_size", BYTES) == int(example["MAX_BODY_BYTES"])


def test_unit_gives_each_stream_two_sockets(unit: dict[str, list[str]], example: dict[str, str]) -> None:
    assert int(unit["LimitNOFILE"][0]) > 2 * int(example["WORKER_CONNECTIONS"])


def test_batches_are_looked_after_by_a_command_that_there_is(
    batches_unit: dict[str, list[str]], app: Flask
) -> None:
    (folder,) = batches_unit["WorkingDirectory"]
    (command,) = batches_unit["ExecStart"]
    program, *arguments = command.split()
    assert program == f"{folder}/.venv/bin/flask"

    ran = app.test_cli_runner().invoke(args=[*arguments, "--help"])

    assert (ran.exit_code, "--watch SECONDS" in ran.stdout) == (0, True)


def test_batches_are_looked_after_where_the_service_keeps_them(
    unit: dict[str, list[str]], batches_unit: dict[str, list[str]]
) -> None:
    for key in ("User", "WorkingDirectory", "StateDirectory", "StateDirectoryMode", "UMask", "ProtectSystem"):
        assert batches_unit[key] == unit[key], key
    assert "APP_ENV=production" in batches_unit["Environment"]


def test_the_timer_begins_round_after_round(batches_unit: dict[str, list[str]]) -> None:
    timer = values_of("gatehouse-batches.timer")
    # By what it was when the last round ended, so that there are never two of them.
    assert (timer["OnBootSec"], timer["OnUnitInactiveSec"]) == (["1min"], ["1min"])
    assert "Unit" not in timer  # the service of the same name
    assert batches_unit["Type"] == ["oneshot"]
    assert "WantedBy" not in batches_unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_no_fault_with_the_units(tmp_path: Path) -> None:
    units = []
    kinds = ("*.service", "*.socket", "*.timer")
    for file in sorted(file for kind in kinds for file in (ROOT / "deploy").glob(kind)):
        text = file.read_text("utf-8")
        here = text.replace("/opt/gatehouse/.venv", sys.prefix).replace("/opt/gatehouse", str(ROOT))
        units.append(tmp_path / file.name)
        units[-1].write_text(here, "utf-8")
    found = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (len(units), found.returncode, found.stderr) == (12, 0, "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("unit", sorted((ROOT / "deploy").glob("*.service")), ids=lambda unit: unit.stem)
def test_systemd_finds_each_service_little_exposed(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=17", unit]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-200:] + found.stderr
