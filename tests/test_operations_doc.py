"""docs/operations.md: its `flask` lines are run, its other lines are of programs that it says are not, and each alert has its section."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import yaml
from flask import Flask

from tests.fakes.servers import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
ALERTS = yaml.safe_load((ROOT / "deploy" / "monitoring" / "alerts.yml").read_text("utf-8"))
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines()]
FLASK = "sudo -u gatehouse .venv/bin/flask "
# With the server as it is in a test: no key of OpenAI, and a database of its own.
FAILS = {"doctor"}


def test_what_is_not_run_by_a_test_is_said_so() -> None:
    (sentence,) = re.findall(r"^.*All others \((.*)\) are not run by a test", PAGE, re.MULTILINE)
    said = set(re.findall(r"`(\w[\w-]*)`", sentence))
    others = [line for line in LINES if not line.startswith(FLASK) and line != "cd /opt/gatehouse"]

    assert {shlex.split(line.removeprefix("sudo "))[0] for line in others} <= said
    assert not [line for line in others if "flask" in line]


def test_every_flask_line_works_in_the_order_of_the_page(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    settings = {"database_url": f"sqlite:///{tmp_path}/ledger.sqlite3", "secret_key": "s" * 40}
    built = make_app(**settings).extensions["gatehouse"]
    built.database.migrate()
    built.close()
    made = ""
    commands = [line.removeprefix(FLASK) for line in LINES if line.startswith(FLASK)]
    for command in commands:
        words = shlex.split(
            command.replace("/var/backups/gatehouse", str(tmp_path))
            .replace("$(date +%F)", "2026-11-27")
            .replace("<id>", made)
        )
        app = make_app(**settings, data_dir=str(tmp_path), state_dir=str(tmp_path))  # each is a process of its own
        ran = app.test_cli_runner().invoke(args=words)
        app.extensions["gatehouse"].close()
        if words[:2] == ["keys", "create"]:
            made = re.search(r"\bgh_(\w{8})", ran.output)[1]  # type: ignore[index]
        assert "Traceback" not in ran.output
        assert words[0] in FAILS or ran.exit_code == 0, f"{command}: {ran.output}{ran.exception}"

    assert len(commands) >= 15


def test_the_commands_that_are_named_in_a_sentence_exist(app: Flask) -> None:
    for words in re.findall(r"`flask ([a-z-]+(?: [a-z-]+)?)", PAGE):
        group, *name = words.split()
        command = app.cli.get_command(click.Context(app.cli), group)
        assert command is not None, words
        assert not name or name[0] in getattr(command, "commands", {name[0]: None}), words


def test_each_alert_has_its_section_in_the_order_of_the_file() -> None:
    names = [rule["alert"] for group in ALERTS["groups"] for rule in group["rules"]]
    sections = dict(re.findall(r"^### (Gatehouse\w+)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))

    assert list(sections) == names
    assert not [name for name, text in sections.items() if "**Do**" not in text or "**Look**" not in text]


@pytest.mark.parametrize("kind", ["settings", "metrics", "errors"])
def test_what_the_page_names_exists(kind: str) -> None:
    if kind == "settings":
        known = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE))
        named = {name for name in re.findall(r"`([A-Z][A-Z_]+[A-Z])\b", PAGE) if "_" in name} - {"DATA_DIR"}
    elif kind == "metrics":
        known = set(re.findall(r"`(gatehouse_\w+)`", (ROOT / "docs" / "metrics.md").read_text("utf-8")))
        named = set(re.findall(r"`(gatehouse_\w+)`", PAGE))
    else:
        known = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "errors.md").read_text("utf-8")))
        named = set(re.findall(r"(?:\d{3}|,|;) `([a-z]+_[a-z_]+)`", PAGE))
    assert named
    assert not named - known
