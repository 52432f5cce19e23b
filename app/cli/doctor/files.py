"""Check owners and modes of .env, secret files and folders, and the effect of a replaced secret on users."""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from app.cli.doctor.finding import Finding, fault, ok, warning
from app.config import Config, ConfigError, read_env_file

UNITS = Path("/etc/systemd/system")
# Container engines mount secrets here and set their modes. A container has no other users.
_OF_CONTAINERS = Path("/run/secrets")
_OTHERS = stat.S_IROTH | stat.S_IWOTH


def check_user(root: Path, units: Path = UNITS) -> Iterator[Finding]:
    """Check that the command runs as the user of the service: root can access files which that user cannot."""
    user = _read_user(units)
    if os.geteuid() == 0 and user not in (None, "root"):
        yield warning(
            "user",
            f"This command runs as root, but the service as {user}: the findings about files apply to root only.",
            f"sudo -u {user} {root}/.venv/bin/flask doctor",
        )


def _read_user(units: Path) -> str | None:
    """Return the user of the systemd unit, if it exists."""
    unit = units / "gatehouse.service"
    named = re.findall(r"^User=(\S+)", unit.read_text(), re.MULTILINE) if unit.is_file() else []
    return named[-1] if named else None


def check_env_file(root: Path, units: Path = UNITS) -> Iterator[Finding]:
    """Check that only its owner and group can read `.env`, and that no unexpected user can write it."""
    path = root / ".env"
    try:
        found = path.stat()
    except FileNotFoundError:
        yield ok("env file", "There is no .env; the settings come from the environment.")
        return
    if found.st_mode & _OTHERS:
        yield _report_open_file("env file", path, found.st_mode)
    elif not os.access(path, os.R_OK):
        yield fault(
            "env file",
            "This user cannot read .env.",
            "Run this command as the user of the service: `sudo -u gatehouse …`.",
        )
    elif found.st_uid not in (0, os.geteuid(), root.stat().st_uid) and _name(found.st_uid) != _read_user(units):
        yield warning(
            "env file",
            f".env belongs to {_name(found.st_uid)}, who can change all settings.",
            f"chown it to the user of the service: {path}",
        )
    else:
        yield ok(
            "env file", f".env belongs to {_name(found.st_uid)} and has the mode {stat.S_IMODE(found.st_mode):o}."
        )


def check_secret_files(root: Path) -> Iterator[Finding]:
    """Check that not every user can read the files that variables such as `OPENAI_API_KEY_FILE` name."""
    try:
        in_file = read_env_file(root)
    except ConfigError:  # reported with the settings
        in_file = {}
    for variable, path in Config.find_secret_files(in_file).items():
        file = (root / path).absolute()
        if file.is_relative_to(_OF_CONTAINERS):
            continue
        try:
            mode = file.stat().st_mode
            is_reached_by_all = all(folder.stat().st_mode & stat.S_IXOTH for folder in file.parents)
        except OSError:  # an unreadable file is reported with the settings
            continue
        if mode & _OTHERS and is_reached_by_all:
            yield _report_open_file("secret files", path, mode, f"{variable}: ")


def _report_open_file(check: str, path: Path, mode: int, before: str = "") -> Finding:
    return fault(
        check,
        f"{before}{path.name} is open to every user of this machine (mode {stat.S_IMODE(mode):o}).",
        f"chmod o= {path}",
    )


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def check_secrets(config: Config) -> Iterator[Finding]:
    """Check that the hashes that stand for users in logs and at the upstream do not change with SECRET_KEY."""
    if config.secret_key_fallbacks and not config.pseudonym_secret:
        yield warning(
            "secrets",
            "SECRET_KEY was replaced, so the hash of each user in logs and at OpenAI has changed.",
            "To restore the old hashes, set PSEUDONYM_SECRET to the former SECRET_KEY permanently.",
        )


def check_folders(root: Path, config: Config) -> Iterator[Finding]:
    """Check that the data folders can be written, and that their files do not belong to another user."""
    folders = {"STATE_DIR": root / config.state_dir, "DATA_DIR": root / config.data_dir}
    if config.database_url.startswith("sqlite"):
        folders["DATABASE_URL"] = (root / config.database_url.partition("///")[2]).parent
    for path in dict.fromkeys(folders.values()):
        names = ", ".join(name for name, folder in folders.items() if folder == path)
        yield _check_folder(names, path)


def _check_folder(names: str, path: Path) -> Finding:
    existing = next(each for each in (path, *path.parents) if each.exists())
    if not existing.is_dir():
        return fault("folders", f"{existing} ({names}) is not a folder.", "Set another path, or move that file.")
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
            f"{path} has files that belong to another user than the folder: {', '.join(foreign[:3])}.",
            "A command was run as another user: chown the files, and use `sudo -u gatehouse` for commands.",
        )
    return ok("folders", f"{path} ({names}) can be written.")
