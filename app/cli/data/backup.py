"""`flask backup` and `flask restore`: copy the database to a file, and put it back."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import with_appcontext

from app.cli.errors import reported
from app.database.backup import back_up, restore
from app.database.copy_files import CopyRefused
from app.database.migrate import find_newest_revision
from app.services import services

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("backup")
@click.argument("file", type=_FILE)
@with_appcontext
def backup_command(file: Path) -> None:
    """Copy the database to a new FILE, as of one moment, while servers go on.

    The copy is checked. It has all keys' hashes and all users' names, but not the settings and secrets of `.env`.
    """
    with reported(CopyRefused, OSError):
        revision = back_up(services().database, file)
    size = file.stat().st_size
    click.echo(f"{file}: {size:,} bytes, whole, tables of revision {revision}.")


@click.command("restore")
@click.argument("file", type=_FILE)
@click.option("--damaged", is_flag=True, help="The file that is there cannot be opened, and no server runs.")
@with_appcontext
def restore_command(file: Path, damaged: bool) -> None:
    """Put FILE, of `flask backup`, in the place of the database. All servers must be stopped.

    What was there is kept beside it, if it is a file. Keys and tokens that were revoked after the copy was made are
    valid again: revoke them again.
    """
    with reported(CopyRefused, OSError):
        aside = restore(services().database, file, is_damaged=damaged)
    click.echo(f"The database is that of {file}.")
    if aside is not None:
        click.echo(f"What was there is now {aside}.")
    click.echo(f"Tables older than revision {find_newest_revision()} are brought up to date by the next start.")
