"""`flask db`: check the database's tables, and upgrade them."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from app.cli.errors import report_errors
from app.services import services
from app.storage.database.inspection import inspect_database


@click.group("db")
def schema() -> None:
    """Check the database's tables, and upgrade them."""


@schema.command("check")
@with_appcontext
def check() -> None:
    """Print the revision of the tables, what an upgrade would change, and whether the data is intact.

    It changes nothing. The exit status is 1 if an upgrade is pending or data is damaged.
    """
    with report_errors():
        found = inspect_database(services().database)
    click.echo(f"Database: {found.kind}. Tables: revision {found.revision or 'none'} of {found.newest}.")
    for name in found.pending:
        click.echo(f"Pending: {name}")
    if found.is_newer:
        click.echo("The tables are those of a newer version. This version works with them, for a rollback.")
    for fault in found.faults:
        click.echo(f"Damaged: {fault}")
    if found.pending or found.faults:
        raise SystemExit(1)
    click.echo("No problems found.")


@schema.command("upgrade")
@with_appcontext
def upgrade() -> None:
    """Upgrade the tables, as each start of a server does. Make a backup first."""
    database = services().database
    with report_errors():
        before = inspect_database(database, deep=False).revision
        database.migrate()
        after = inspect_database(database, deep=False).revision
    click.echo(
        f"Upgraded from revision {before or 'none'} to {after}."
        if before != after
        else f"Revision {after} is up to date."
    )
