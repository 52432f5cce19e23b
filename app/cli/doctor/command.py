"""`flask doctor`: check whether this installation works and is safe, and say how to fix it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

PROBLEMS = "GATEHOUSE_PROBLEMS"
"""The key of app.config with the reasons why the application could not be created."""

_ROOT = Path(__file__).parents[3]
_MARKS = {"ok": "ok     ", "warning": "WARNING", "fault": "FAULT  "}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--url", metavar="URL", help="Also check the site from outside, at a URL such as https://chat.example.com."
)
@click.option("--origin", metavar="ORIGIN", help="Check that pages of this origin may call the API.")
@with_appcontext
def doctor(as_json: bool, url: str | None, origin: str | None) -> None:
    """Check this installation. The exit status is 1 if there is a fault."""
    from app.cli.doctor.examine import examine  # imported here, because workers do not need it

    built = current_app.extensions.get("gatehouse")  # missing if the settings are invalid
    config = None if built is None else built.config
    problems = current_app.config.get(PROBLEMS, ())
    findings = []
    for finding in examine(_ROOT, config, problems=problems, url=url, origin=origin):
        findings.append(finding)
        if not as_json:
            click.echo(f"{_MARKS[finding.state]}  {finding.check}: {finding.sentence}")
            if finding.hint:
                click.echo(f"         {finding.hint}")
    has_fault = any(finding.state == "fault" for finding in findings)
    if as_json:
        click.echo(
            json.dumps({"ok": not has_fault, "findings": [finding.to_json() for finding in findings]}, indent=2)
        )
    sys.exit(1 if has_fault else 0)
