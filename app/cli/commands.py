"""List all `flask` commands."""

from __future__ import annotations

from app.cli.admin import admin
from app.cli.batches import batches
from app.cli.data.backup import backup_command, restore_command
from app.cli.data.outbox import outbox
from app.cli.data.prune import prune
from app.cli.data.reconcile import reconcile
from app.cli.data.schema import schema
from app.cli.doctor.command import doctor
from app.cli.keys import keys
from app.cli.limits import limits
from app.cli.nginx_conf import nginx_conf
from app.cli.offline_model import offline_model
from app.cli.prompts import prompts
from app.cli.usage import usage

COMMANDS = (
    keys,
    admin,
    limits,
    usage,
    batches,
    prompts,
    offline_model,
    doctor,
    nginx_conf,
    backup_command,
    restore_command,
    schema,
    prune,
    outbox,
    reconcile,
)
