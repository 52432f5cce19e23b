"""`flask db`: check the database's tables, and bring them up to date."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from app.cli.errors import reported
from app.services import services
from app.storage.database.inspection import inspect_database


@click.group("db")
def schema() -> None:
    """Check the database's tables, and bring them up to date."""


@schema.command("check")
@with_appcontext
def check() -> None:
    """Say which revision the tables have, what an upgrade would change, and whether the data is whole.

    It changes nothing. The exit status is 1 unless all is well.
    """
    with reported():
        found = inspect_database(services().database)
    click.echo(f"Database: {found.kind}. Tables: revision {found.revision or 'none'} of {found.newest}.")
    for name in found.pending:
        click.echo(f"Pending: {name}")
    if found.is_newer:
        click.echo("The tables are of a newer version, which this one can work with while it is rolled back.")
    for fault in found.faults:
        click.echo(f"Damaged: {fault}")
    if found.pending or found.faults:
        raise SystemExit(1)
    click.echo("All is well.")


@schema.command("upgrade")
@with_appcontext
def upgrade() -> None:
    """Bring the tables up to date, as each start of a server does. Make a backup first."""
    database = services().database
    with reported():
        before = inspect_database(database, deep=False).revision
        database.migrate()
        after = inspect_database(database, deep=False).revision
    click.echo(
        f"Revision {before or 'none'}, now {after}." if before != after else f"Revision {after} is up to date."
    )
