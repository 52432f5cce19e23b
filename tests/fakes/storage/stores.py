"""Stores for a ledger of a test's own: a file, or a database on a real PostgreSQL server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from app.runtime import sqlite
from tests.fakes.memory_folder import MEMORY_FOLDER

POSTGRES_BIN = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)

_numbers = count()


class Store(Protocol):
    kind: str
    url: str

    def frozen(self) -> Any:
        """Return a context in which the store does not answer, and refuses no connection."""


class SqliteFile:
    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    @contextmanager
    def frozen(self) -> Iterator[None]:
        # By the same library: another one's closing the file would take this process's locks on it away.
        other = sqlite.connect(self.path)
        other.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            other.close()


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Lock a file for all, readers too. Its connections have to be closed before."""
    other = sqlite.connect(path)
    try:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")  # else those who read a file that is in WAL still could
        other.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        other.close()


class PostgresServer:
    """A server of this run's own, on a socket in a directory that only it and we use."""

    def __init__(self) -> None:
        assert POSTGRES_BIN is not None
        self._bin = POSTGRES_BIN
        # Short, as the path of a socket may have 107 characters.
        self.directory = Path(tempfile.mkdtemp(prefix="gh-pg-", dir=MEMORY_FOLDER))
        # It does not run as root.
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self._as_user = as_user if os.geteuid() == 0 else []
        if self._as_user:
            shutil.chown(self.directory, "postgres")
        self._run("initdb", "-D", self.directory / "data", "-A", "trust", "-U", "gatehouse", "--no-sync")
        self.start()

    def start(self, more: str = "-c listen_addresses=''") -> None:
        options = f"{more} -c fsync=off -k {self.directory}"
        log = self.directory / "log"
        self._run("pg_ctl", "-D", self.directory / "data", "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.directory / "data", "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    def url(self, database: str) -> str:
        return f"postgresql://gatehouse@/{database}?host={self.directory}"

    def new_database(self, template: str = "template1") -> str:
        """Return the name of a new database: a copy of another one, which must not be in use."""
        name = f"test_{next(_numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        """Give its space back, which may be memory; unless a test has stopped the server."""
        with suppress(psycopg.Error), psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def signal(self, number: int) -> None:
        pid = int((self.directory / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, children)):
            with suppress(ProcessLookupError):  # a connection's process may have ended meanwhile
                os.kill(each, number)

    def _run(self, program: str, *arguments: object) -> None:
        subprocess.run(
            [*self._as_user, self._bin / program, *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.directory,
            timeout=60,
        )


class PostgresDatabase:
    kind = "postgresql"

    def __init__(self, server: PostgresServer, template: str = "template1") -> None:
        self.server = server
        self.name = server.new_database(template)
        self.url = server.url(self.name)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self.server.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.server.signal(signal.SIGCONT)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server, or skip the test where none is installed; CI has to have one."""
    if POSTGRES_BIN is None:
        reason = "PostgreSQL's server is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    server = PostgresServer()
    try:
        yield server
    finally:
        server.remove()
