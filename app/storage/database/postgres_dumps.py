"""Back up a PostgreSQL database with pg_dump, and restore it with pg_restore."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from app.storage.database.copy_files import CopyRefused, new_file

_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'gatehouse' AND pid <> pg_backend_pid()
"""


def back_up(access: Mapping[str, str], target: Path) -> str:
    """Dump a database to a new file, in pg_restore's format. Return the revision of its tables. Raises CopyRefused."""
    with new_file(target) as partial:
        _run(access, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={partial}")
        return read_revision(access, partial)


def read_revision(access: Mapping[str, str], source: Path) -> str:
    """Return the revision of a dump's tables. Raises CopyRefused."""
    text = _run(access, "pg_restore", "--data-only", "--table=alembic_version", "--file=-", str(source))
    rows = text.partition("FROM stdin;\n")[2].splitlines()
    if not rows or not rows[0].isdigit():
        raise CopyRefused(f"{source} does not have the tables of a ledger.")
    return rows[0]


def restore(access: Mapping[str, str], source: Path) -> None:
    """Replace a database's tables with those of a dump, in one transaction. Raises CopyRefused."""
    others = _run(access, "psql", "--no-psqlrc", "--tuples-only", "--no-align", f"--command={_OTHERS}").strip()
    if others != "0":
        raise CopyRefused("A server or another command uses the database: stop it first.")
    options = (
        "--clean",
        "--if-exists",
        "--no-owner",
        "--no-privileges",
        "--single-transaction",
        "--exit-on-error",
    )
    _run(access, "pg_restore", *options, f"--dbname={access['PGDATABASE']}", str(source))


def _run(access: Mapping[str, str], program: str, *arguments: str) -> str:
    """Run a program and return its output. It gets the password in its environment, as all users can see arguments."""
    path = shutil.which(program)
    if path is None:
        raise CopyRefused(
            f"{program} is not installed. Install PostgreSQL's client programs (postgresql-client), of the server's"
            " version or a newer one. Or make the backup on another machine: pg_dump --format=custom"
            " --file=FILE DATABASE."
        )
    done = subprocess.run(  # noqa: S603
        [path, "--no-password", *arguments],
        env={"PATH": os.defpath, "HOME": str(Path.home()), "LC_ALL": "C.UTF-8", **access},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise CopyRefused(f"{program} failed: {lines[-1]}")
    return done.stdout
