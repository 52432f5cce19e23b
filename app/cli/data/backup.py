"""`flask backup` and `flask restore`: copy the database to a file, and restore it."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import with_appcontext

from app.cli.errors import report_errors
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
    "--into", "folder", type=_FOLDER, help="Instead of FILE: a folder for the copy, which is named by the time."
)
@click.option(
    "--keep",
    type=click.IntRange(min=1),
    help="With --into: retain this many copies, and delete the oldest others.",
)
@with_appcontext
def backup_command(file: Path | None, folder: Path | None, keep: int | None) -> None:
    """Copy the database to a new FILE, as of one moment, while servers run.

    The copy is checked. It has the hashes of all keys and the names of all users, but no settings or secrets of `.env`.
    """
    if (file is None) == (folder is None):
        raise click.UsageError("Give either FILE or --into.")
    if keep is not None and folder is None:
        raise click.UsageError("--keep needs a folder: add --into.")
    database = services().database
    target = file or name_copy(database, Path(folder or "."))
    with report_errors(CopyRefused, OSError):
        revision = back_up(database, target)
        click.echo(f"{target}: {target.stat().st_size:,} bytes, intact, tables of revision {revision}.")
        for deleted in delete_oldest(target, keep) if keep is not None else ():
            click.echo(f"{deleted}: deleted, because there are {keep} newer copies.")


@click.command("restore")
@click.argument("file", type=_FILE)
@click.option("--damaged", is_flag=True, help="Replace a database file that cannot be opened. No server may run.")
@with_appcontext
def restore_command(file: Path, damaged: bool) -> None:
    """Replace the database with FILE, a copy by `flask backup`. Stop all servers first.

    If the old database is a file, it is renamed and stays in its folder. Keys and tokens that were revoked after the
    copy was made are valid again: revoke them again.
    """
    with report_errors(CopyRefused, OSError):
        aside = restore(services().database, file, is_damaged=damaged)
    click.echo(f"The database was restored from {file}.")
    if aside is not None:
        click.echo(f"The old database is now {aside}.")
    click.echo(f"The next start upgrades tables that are older than revision {find_newest_revision()}.")
