"""The `flask` commands, one file for each.

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

from flask import Flask

# Under other names than their files', or `app.cli.keys` would be the command and no longer the module.
from app.cli.admin import admin as admin_commands
from app.cli.batches import batches as batch_commands
from app.cli.data.backup import backup_command, restore_command
from app.cli.data.outbox import outbox as outbox_commands
from app.cli.data.prune import prune as prune_command
from app.cli.data.reconcile import reconcile as reconcile_command
from app.cli.data.schema import schema as schema_commands
from app.cli.doctor.command import PROBLEMS
from app.cli.doctor.command import doctor as doctor_command
from app.cli.keys import keys as key_commands
from app.cli.limits import limits as limit_commands
from app.cli.nginx_conf import nginx_conf as nginx_conf_command
from app.cli.offline_model import offline_model as offline_model_command
from app.cli.prompts import prompts as prompts_command
from app.cli.usage import usage as usage_command


def init_cli(app: Flask) -> None:
    """Add the commands to an application."""
    for command in (
        key_commands,
        admin_commands,
        limit_commands,
        usage_command,
        batch_commands,
        prompts_command,
        offline_model_command,
        doctor_command,
        nginx_conf_command,
        backup_command,
        restore_command,
        schema_commands,
        prune_command,
        outbox_commands,
        reconcile_command,
    ):
        app.cli.add_command(command)


def create_app_for_doctor(problems: Sequence[str]) -> Flask:
    """Return an application of one command, `flask doctor`, for an installation that cannot start."""
    app = Flask(__name__)
    app.config[PROBLEMS] = problems
    app.cli.add_command(doctor_command)
    return app
