""".env and the folders: owners and modes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from app.config import Config
from app.doctor.finding import Finding, fault, ok, warning


def check_env_file(root: Path) -> Iterator[Finding]:
    """Check that nobody but its owner and group reads `.env`."""
    path = root / ".env"
    try:
        found = path.stat()
    except FileNotFoundError:
        yield ok("env file", "There is no .env; the settings come from the environment.")
        return
    if found.st_mode & (stat.S_IROTH | stat.S_IWOTH):
        yield fault(
            "env file",
            f".env is open to every user of this machine (mode {stat.S_IMODE(found.st_mode):o}).",
            f"chmod o= {path}",
        )
    elif not os.access(path, os.R_OK):
        yield fault(
            "env file",
            "This user may not read .env.",
            "Run this command as the user of the service: `sudo -u gatehouse …`.",
        )
    else:
        yield ok("env file", f".env has the mode {stat.S_IMODE(found.st_mode):o}.")


def check_folders(root: Path, config: Config) -> Iterator[Finding]:
    """Check that the folders of what is kept can be written, and that they are not root's while another user serves."""
    folders = {"STATE_DIR": root / config.state_dir, "DATA_DIR": root / config.data_dir}
    if config.database_url.startswith("sqlite"):
        folders["DATABASE_URL"] = (root / config.database_url.partition("///")[2]).parent
    for path in dict.fromkeys(folders.values()):
        names = ", ".join(name for name, folder in folders.items() if folder == path)
        yield _check_folder(names, path)


def _check_folder(names: str, path: Path) -> Finding:
    existing = next(each for each in (path, *path.parents) if each.exists())
    if not existing.is_dir():
        return fault("folders", f"{existing} ({names}) is no folder.", "Name another one, or move that file away.")
    if not os.access(existing, os.W_OK | os.X_OK):
        return fault(
            "folders",
            f"{existing} ({names}) cannot be written by this user.",
            f"chown it to the user of the service: {existing}",
        )
    if existing != path:
        return ok("folders", f"{path} ({names}) is created at the first start.")
    foreign = sorted(each.name for each in path.glob("*.sqlite3*") if each.stat().st_uid != path.stat().st_uid)
    if foreign:
        return warning(
            "folders",
            f"{path} has files of another user than its own: {', '.join(foreign[:3])}.",
            "A command was run as another user: chown them, and use `sudo -u gatehouse` for commands.",
        )
    return ok("folders", f"{path} ({names}) can be written.")
