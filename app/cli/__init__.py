"""The `flask` commands, one file for each.

commands       all of them, loaded when one is asked for
keys           create, list, rotate and revoke API keys
admin          open the pages of administration; the audit trail
limits         show and change what a single tenant, key or user may use
nginx_conf     print an Nginx site from the settings
doctor/        look for whatever keeps the installation from working
usage          print the tokens and the cost of a month
batches        poll and list batches
prompts        list the stored prompts
offline_model  serve the stand-in for OpenAI
data/          back up and restore, check the tables, delete old rows (`retention/`), the outbox, OpenAI's figures
table          print a table of plain text
errors         end a command with a sentence
repeating      do it once, or with --watch again and again
actor          who runs a command
"""

from __future__ import annotations

from collections.abc import Sequence

import click
from flask import Flask
from flask.cli import AppGroup


class _Commands(AppGroup):
    """Loads the commands when one is asked for: they are of no use in a server, and would take memory in each worker."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._load()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        self._load()
        return super().get_command(ctx, name)

    def _load(self) -> None:
        from app.cli.commands import COMMANDS

        for command in COMMANDS:
            self.add_command(command)


def init_cli(app: Flask) -> None:
    """Add the commands to an application."""
    app.cli = _Commands(app.name)


def create_app_for_doctor(problems: Sequence[str]) -> Flask:
    """Return an application of one command, `flask doctor`, for an installation that cannot start."""
    from app.cli.doctor.command import PROBLEMS, doctor

    app = Flask(__name__)
    app.config[PROBLEMS] = problems
    app.cli.add_command(doctor)
    return app
