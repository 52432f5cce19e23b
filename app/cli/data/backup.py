"""`flask backup` and `flask restore`: copy the database to a file, and put it back."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import with_appcontext

from app.cli.errors import reported
from app.services import services
from app.storage.database.backup import back_up, restore
from app.storage.database.copy_files import CopyRefused
from app.storage.database.dated_copies import delete_oldest, name_copy
from app.storage.database.migrate import find_newest_revision

_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, exists=True, path_type=Path)


@click.command("backup")
@click.argument("file", type=_FILE, required=False)
@click.option(
    "--into", "folder", type=_FOLDER, help="Instead of FILE: a folder, where the copy is named by the time."
)
@click.option(
    "--keep", type=click.IntRange(min=1), help="With --into: delete the oldest copies there beyond so many."
)
@with_appcontext
def backup_command(file: Path | None, folder: Path | None, keep: int | None) -> None:
    """Copy the database to a new FILE, as of one moment, while servers go on.

    The copy is checked. It has all keys' hashes and all users' names, but not the settings and secrets of `.env`.
    """
    if (file is None) == (folder is None):
        raise click.UsageError("Name either FILE or --into.")
    if keep is not None and folder is None:
        raise click.UsageError("--keep is of a folder: name it by --into.")
    database = services().database
    target = file or name_copy(database, Path(folder or "."))
    with reported(CopyRefused, OSError):
        revision = back_up(database, target)
        click.echo(f"{target}: {target.stat().st_size:,} bytes, whole, tables of revision {revision}.")
        for deleted in delete_oldest(target, keep) if keep is not None else ():
            click.echo(f"{deleted}: deleted, as {keep} newer ones are kept.")


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
