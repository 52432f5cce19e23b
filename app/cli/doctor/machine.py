"""Check Python, packages, SQLite and its file system, and limits of the system."""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.markers import Marker

from app.cli.doctor.finding import Finding, fault, ok, warning
from app.config import Config
from app.runtime.sqlite import dbapi, has_safe_wal

_MIN_PYTHON = (3, 11)
_PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>[^ ;\\]+)\s*(?:;\s*(?P<marker>[^\\]*))?", re.MULTILINE
)
# Network file systems: their locks and shared memory are not reliable enough for WAL.
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|9p|afs|ceph|fuse\.(sshfs|glusterfs|s3fs|rclone)|glusterfs|lustre|virtiofs"
)
# Besides its streams, a worker needs descriptors for databases, files and its own sockets.
_OTHER_DESCRIPTORS = 200


def check_python(root: Path) -> Iterator[Finding]:
    """Check Python's version, and that it belongs to the installation's virtual environment."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _MIN_PYTHON:
        yield fault(
            "python", f"Python is {found}.", "Gatehouse needs 3.11 or newer: install it, then `make install`."
        )
    elif sys.prefix == sys.base_prefix:
        yield warning(
            "python",
            f"Python {found} is that of the system.",
            f"Run {root}/.venv/bin/flask, which has the pinned packages.",
        )
    else:
        yield ok("python", f"Python is {found}.")


def check_packages(root: Path) -> Iterator[Finding]:
    """Check that the packages are those that requirements.txt pins."""
    pins = root / "requirements.txt"
    if not pins.is_file():
        yield warning(
            "packages",
            "There is no requirements.txt to compare with.",
            "Run the command in the installation's folder.",
        )
        return
    wrong = []
    for pin in _PIN.finditer(pins.read_text()):
        if pin["marker"] and not Marker(pin["marker"].strip()).evaluate():
            continue
        try:
            found = version(pin["name"])
        except PackageNotFoundError:
            found = "missing"
        if found != pin["version"]:
            wrong.append(f"{pin['name']} is {found}, not {pin['version']}")
    if wrong:
        more = f", and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        yield fault("packages", f"{', '.join(wrong[:5])}{more}.", "Run `make install`, then restart.")
    else:
        yield ok("packages", "All packages have the pinned versions.")


def check_sqlite(root: Path, config: Config) -> Iterator[Finding]:
    """Check SQLite's version, and whether the ledger's file system supports WAL mode."""
    found = dbapi.sqlite_version
    if not config.database_url.startswith("sqlite"):
        yield ok("sqlite", f"SQLite is {found}; the ledger is not in it.")
        return
    folder = (root / config.database_url.partition("///")[2]).parent
    if not folder.is_dir():
        yield ok("sqlite", f"SQLite is {found}; {folder} is created at the first start.")
        return
    kind = find_file_system(folder)
    if _NETWORK.fullmatch(kind):
        yield fault(
            "sqlite",
            f"The ledger is on {kind}, a network file system, where SQLite's locks can fail and data can be lost.",
            "Put DATABASE_URL on a local disk, or use PostgreSQL.",
        )
    elif not has_safe_wal(dbapi.sqlite_version_info):
        yield warning(
            "sqlite",
            f"SQLite {found} has a bug that can damage a file in WAL mode; the ledger runs in the slower rollback mode.",
            "Install the pinned packages, which include a newer SQLite: `make install`.",
        )
    elif (mode := _try_wal(folder)) != "wal":
        yield warning(
            "sqlite",
            f"{folder} ({kind}) supports only the mode {mode}, not WAL.",
            "Put the ledger on a local disk.",
        )
    else:
        yield ok("sqlite", f"SQLite is {found}, and WAL mode works on {kind}.")


def check_limits(config: Config) -> Iterator[Finding]:
    """Check that the limit of open files is high enough for the streams that the settings allow."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count_descriptors(config)
    if limit != resource.RLIM_INFINITY and limit < needed:
        yield warning(
            "limits",
            f"This shell allows {limit} open files; one worker needs up to {needed} for its streams.",
            "The systemd unit allows 65536 (LimitNOFILE); elsewhere raise `ulimit -n`.",
        )
    else:
        yield ok("limits", f"{limit} open files are allowed; a worker needs at most {needed}.")


def count_descriptors(config: Config) -> int:
    """Return the maximum number of open files that a worker needs."""
    connections = config.worker_connections if config.worker_class == "gevent" else config.threads
    return 2 * min(config.max_concurrent_streams, connections) + _OTHER_DESCRIPTORS


def find_file_system(path: Path) -> str:
    """Return the type of a path's file system, such as ext4; "unknown" if the system does not provide it."""
    try:
        mounts = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return "unknown"
    resolved = path.resolve()
    best, kind = -1, "unknown"
    for line in mounts:
        _, where, found, *_ = line.split()
        mounted_at = Path(where.replace("\\040", " "))
        if resolved.is_relative_to(mounted_at) and len(mounted_at.parts) >= best:
            best, kind = len(mounted_at.parts), found
    return kind


def _try_wal(folder: Path) -> str:
    with TemporaryDirectory(dir=folder, prefix=".doctor-") as scratch:
        connection = dbapi.connect(f"{scratch}/wal.sqlite3")
        try:
            mode = str(connection.execute("PRAGMA journal_mode=WAL").fetchone()[0])
            connection.execute("CREATE TABLE t (a)")
            return mode
        finally:
            connection.close()
