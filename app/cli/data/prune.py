"""`flask prune`: delete rows that are older than the settings retain them."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from app.cli.data.retention.pruning import prune as prune_rows
from app.cli.errors import report_errors
from app.services import services


@click.command("prune")
@with_appcontext
def prune() -> None:
    """Delete rows older than ENTRIES_KEEP_DAYS, AUDIT_KEEP_DAYS and SAFETY_EVENTS_KEEP_DAYS, and all that have expired.

    Daily totals are not deleted. It is safe to run it while servers run, to repeat it and to stop it.
    """
    built = services()
    with report_errors():
        built.database.migrate()
        swept = built.ledger.sweep()
        deleted = prune_rows(built.database, built.config)
    if swept:
        click.echo(f"{swept:,} holds of dead workers settled")
    for table, rows in deleted.items():
        click.echo(f"{rows:,} rows of {table} deleted")
    if not swept and not deleted:
        click.echo("No row is old enough to be deleted.")
