"""The `flask` commands, one file for each.

commands       the list of all commands, imported when one runs
keys           create, list, rotate and revoke API keys
admin          open the pages of administration; the audit trail
limits         show and change the limits of a single tenant, key or user
nginx_conf     print an Nginx site from the settings
doctor/        check the installation, and say how to fix what is wrong
usage          print the tokens and the cost of a month
batches        poll and list batches
prompts        list the stored prompts
offline_model  serve the stand-in for OpenAI
data/          back up and restore, check the tables, delete old rows (`retention/`), the outbox, compare with OpenAI
table          print a table of plain text
errors         end a command with an error message instead of a traceback
repeating      run a command's work once, or repeatedly with --watch
actor          the user who runs a command, for the audit trail
"""

from __future__ import annotations

from collections.abc import Sequence

import click
from flask import Flask
from flask.cli import AppGroup


class _Commands(AppGroup):
    """Imports the commands when one runs: a server does not need them, and they would use memory in each worker."""

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
    """Return an application with one command, `flask doctor`, for an installation that cannot start."""
    from app.cli.doctor.command import PROBLEMS, doctor

    app = Flask(__name__)
    app.config[PROBLEMS] = problems
    app.cli.add_command(doctor)
    return app
