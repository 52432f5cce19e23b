"""`flask prune`: delete rows that are older than the settings keep them."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from app.cli.data.retention.pruning import prune as prune_rows
from app.cli.errors import reported
from app.services import services


@click.command("prune")
@with_appcontext
def prune() -> None:
    """Delete what ENTRIES_KEEP_DAYS, AUDIT_KEEP_DAYS and SAFETY_EVENTS_KEEP_DAYS no longer keep, and what has expired.

    The totals of each day stay. It may run while servers do, any number of times, and may be stopped.
    """
    built = services()
    with reported():
        built.database.migrate()
        swept = built.ledger.sweep()
        deleted = prune_rows(built.database, built.config)
    if swept:
        click.echo(f"{swept:,} holds of dead workers settled")
    for table, rows in deleted.items():
        click.echo(f"{rows:,} rows of {table} deleted")
    if not swept and not deleted:
        click.echo("Nothing is old enough.")
