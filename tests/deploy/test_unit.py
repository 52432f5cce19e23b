"""What deploy/, gunicorn.conf.py and .env.example say about the same things, compared."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.servers import ROOT, environment

SECONDS = {"": 1, "s": 1, "m": 60}
BYTES = {"": 1, "k": 1024, "m": 1024**2}


@pytest.fixture(scope="module")
def unit() -> dict[str, list[str]]:
    """All values of each key of the unit, whatever its section."""
    values: dict[str, list[str]] = {}
    for line in (ROOT / "deploy/gatehouse.service").read_text("utf-8").splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            values.setdefault(key, []).append(value)
    return values


@pytest.fixture(scope="module")
def unit_environment(unit: dict[str, list[str]]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in unit["Environment"])


@pytest.fixture(scope="module")
def gunicorn_settings(unit_environment: dict[str, str]) -> dict[str, str]:
    """What gunicorn makes of gunicorn.conf.py under the unit."""
    settings = {**unit_environment, "APP_ENV": "development"}
    command = [Path(sys.executable).with_name("gunicorn"), "--print-config", "wsgi:app"]
    printed = subprocess.run(
        command, cwd=ROOT, env=environment(**settings), capture_output=True, text=True, check=True, timeout=20
    )
    return dict(re.findall(r"^(\w+) += (.*)$", printed.stdout, re.MULTILINE))


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


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_no_fault_with_the_unit(tmp_path: Path) -> None:
    text = (ROOT / "deploy/gatehouse.service").read_text("utf-8")
    here = text.replace("/opt/gatehouse/.venv", sys.prefix).replace("/opt/gatehouse", str(ROOT))
    unit = tmp_path / "gatehouse.service"
    unit.write_text(here, "utf-8")
    found = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
