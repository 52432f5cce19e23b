"""The dashboard and the alerts name metrics that exist, and docs/metrics.md explains all of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.servers import ROOT

FOLDER = ROOT / "deploy" / "monitoring"
ALERTS, DASHBOARD = FOLDER / "alerts.yml", FOLDER / "grafana-dashboard.json"
CASES = [Path(__file__).parent / name for name in ("alerts.test.yml", "budgets.test.yml")]
NAME = re.compile(r"\bgatehouse_[a-z_]+\b")
DOCS = (ROOT / "docs" / "metrics.md").read_text("utf-8")


@pytest.fixture
def existing(make_app: Callable[..., Flask], tmp_path: Path) -> set[str]:
    """The names that a scrape has, those of a histogram's parts included."""
    client = make_app(
        metrics_allow=("127.0.0.1",),
        tenant_budget_usd=5.0,
        database_url=f"sqlite:///{tmp_path}/own.sqlite3",
        usage_webhook_url="https://usage.example",
        usage_webhook_secret="whsec_" + "a" * 32,
    ).test_client()
    assert client.post("/api/chat", json={"message": "Hi"}).status_code == 200
    names = set()
    for family in text_string_to_metric_families(client.get("/metrics").text):
        names.add(f"{family.name}_total" if family.type == "counter" else family.name)
        if family.type == "histogram":
            names |= {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
    return names


def test_every_metric_of_the_alerts_and_the_dashboard_exists(existing: set[str]) -> None:
    alerts = set(NAME.findall(ALERTS.read_text("utf-8")))
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    shown = {name for panel in panels for target in panel["targets"] for name in NAME.findall(target["expr"])}

    assert len(alerts) >= 9
    assert len(shown) >= 20
    assert not (alerts | shown) - existing


def test_every_metric_and_every_alert_is_explained(existing: set[str]) -> None:
    documented = set(NAME.findall(DOCS))
    parts = {name for name in existing if re.search(r"_seconds_(bucket|count|sum)$", name)}
    own = {name for name in existing - parts if name.startswith("gatehouse_") and not name.endswith("_created")}

    assert own == documented - parts
    assert re.findall(r"^ +- alert: (\w+)", ALERTS.read_text("utf-8"), re.MULTILINE) == re.findall(
        r"^\| `(Gatehouse\w+)`", DOCS, re.MULTILINE
    )


def test_every_alert_has_a_case_that_fires_and_one_that_is_silent() -> None:
    names = re.findall(r"^ +- alert: (\w+)", ALERTS.read_text("utf-8"), re.MULTILINE)
    fires: dict[str, set[bool]] = {name: set() for name in names}
    for name, rest in re.findall(
        r"alertname: (\w+)\n((?: +exp_alerts:.*\n))", "".join(file.read_text("utf-8") for file in CASES)
    ):
        fires[name].add("[]" not in rest)

    assert fires == {name: {True, False} for name in names}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize(
    "words",
    [pytest.param(["check", "rules", ALERTS], marks=pytest.mark.thorough), ["test", "rules", *CASES]],
    ids=["check", "test"],
)
def test_prometheus_takes_the_alerts_and_fires_them(words: list[object]) -> None:
    done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
