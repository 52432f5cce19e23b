from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest

from app.ledger.database import Database, open_database
from app.ledger.ledger import Ledger
from app.ledger.records import Limit, NewEntry
from app.ledger.sqlite_driver import best_sqlite

POSTGRES_BIN = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
NOON = 1795176000_000  # 2026-11-20, 12:00 UTC


class Clock:
    """The time that the ledger writes down, moved by hand."""

    def __init__(self) -> None:
        self.now_ms = NOON

    def move(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("app.ledger.clock.now_ms", lambda: clock.now_ms)
    return clock


class Store(Protocol):
    kind: str
    url: str

    def frozen(self) -> Any:
        """A context in which the store answers nobody, and says so to nobody."""


class SqliteFile:
    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    @contextmanager
    def frozen(self) -> Iterator[None]:
        # By the same library: another one's closing the file would take this process's locks on it away.
        other = best_sqlite().connect(self.path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            other.close()


class PostgresServer:
    """A server of this run's own, on a socket in a directory that only it and we use."""

    def __init__(self) -> None:
        assert POSTGRES_BIN is not None
        self._bin = POSTGRES_BIN
        # Short, as the path of a socket may have 107 characters.
        self.directory = Path(tempfile.mkdtemp(prefix="gh-pg-"))
        # It does not run as root.
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self._as_user = as_user if os.geteuid() == 0 else []
        if self._as_user:
            shutil.chown(self.directory, "postgres")
        self._run("initdb", "-D", self.directory / "data", "-A", "trust", "-U", "gatehouse", "--no-sync")
        self.start()

    def start(self) -> None:
        options = f"-c listen_addresses='' -c fsync=off -k {self.directory}"
        log = self.directory / "log"
        self._run("pg_ctl", "-D", self.directory / "data", "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.directory / "data", "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    def url(self, database: str) -> str:
        return f"postgresql://gatehouse@/{database}?host={self.directory}"

    def add_database(self, name: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")

    def signal(self, number: int) -> None:
        pid = int((self.directory / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (pid, *map(int, children)):
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

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.server = server
        server.add_database(name)
        self.url = server.url(name)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self.server.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.server.signal(signal.SIGCONT)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    if POSTGRES_BIN is None:
        reason = "PostgreSQL's server is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    server = PostgresServer()
    yield server
    server.remove()


_numbers = iter(range(1_000_000))


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    if request.param == "sqlite":
        return SqliteFile(tmp_path / "own" / "ledger.sqlite3")
    return PostgresDatabase(request.getfixturevalue("postgres_server"), f"test_{next(_numbers)}")


@pytest.fixture
def database(store: Store, tmp_path: Path) -> Iterator[Database]:
    database = open_database(store.url, tmp_path)
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def ledger(database: Database, clock: Clock, tmp_path: Path) -> Ledger:
    return Ledger(database, tmp_path / "journal")


@pytest.fixture
def rows(database: Database) -> Callable[[str], list[dict[str, Any]]]:
    """What is in a table."""

    def read(table: str) -> list[dict[str, Any]]:
        with database.reading() as connection:
            found = connection.exec_driver_sql(f"SELECT * FROM {table}")
            return [dict(row._mapping) for row in found]

    return read


@pytest.fixture
def entry() -> Callable[..., NewEntry]:
    def make(**given: Any) -> NewEntry:
        usual: dict[str, Any] = {
            "request_id": "r1",
            "tenant": "acme",
            "user": "ann",
            "token_id": None,
            "route": "/api/chat",
            "operation": "chat",
            "model": "gpt-6.1-terra",
        }
        return NewEntry(**{**usual, **given})

    return make


@pytest.fixture
def violations(database: Database) -> Callable[..., list[str]]:
    """What is wrong with the books, all of it seen at one moment.

    With limits, for the accounts that they name, in the period that they name.
    """

    def find(limits: dict[tuple[str, str], Limit] | None = None) -> list[str]:
        with database.reading() as connection:
            entries = [dict(row._mapping) for row in connection.exec_driver_sql("SELECT * FROM entries")]
            accounts = [dict(row._mapping) for row in connection.exec_driver_sql("SELECT * FROM accounts")]
            days = [dict(row._mapping) for row in connection.exec_driver_sql("SELECT * FROM daily_totals")]
        return [*_of_accounts(entries, accounts, limits or {}), *_of_days(entries, days)]

    return find


def _of_accounts(
    entries: list[dict[str, Any]], accounts: list[dict[str, Any]], limits: dict[tuple[str, str], Limit]
) -> Iterator[str]:
    names = ("held_micro_usd", "held_tokens", "spent_micro_usd", "spent_tokens")
    expected: Counter[tuple[str, str, str]] = Counter()
    for entry in entries:
        is_pending = entry["state"] == "pending"
        if is_pending == (entry["settled_at"] is not None) or is_pending == (entry["outcome"] is not None):
            yield f"{entry['id']} is neither pending nor settled"
        if is_pending:
            amounts = (entry["held_micro_usd"], entry["held_tokens"], 0, 0)
        else:
            amounts = (0, 0, entry["cost_micro_usd"] or 0, entry["tokens"])
        for key, period in json.loads(entry["accounts"]):
            expected.update({(key, period, name): amount for name, amount in zip(names, amounts, strict=True)})
    for account in accounts:
        where = (account["key"], account["period"])
        for name in names:
            amount = account[name]
            if type(amount) is not int or amount < 0 or amount != expected.pop((*where, name), 0):
                yield f"{where}: {name} is {amount!r}"
        limit = limits.get(where)
        if limit and limit.micro_usd is not None:
            used = account["spent_micro_usd"] + account["held_micro_usd"]
            if used > limit.micro_usd:
                yield f"{where}: {used} micro-dollars of {limit.micro_usd}"
        if limit and limit.tokens is not None:
            used = account["spent_tokens"] + account["held_tokens"]
            if used > limit.tokens:
                yield f"{where}: {used} tokens of {limit.tokens}"
    yield from (f"{name} has no account" for name, amount in expected.items() if amount)


def _of_days(entries: list[dict[str, Any]], days: list[dict[str, Any]]) -> Iterator[str]:
    settled = [entry for entry in entries if entry["state"] == "settled"]
    if sum(day["requests"] for day in days) != len(settled):
        yield "the days' requests are not the settled ones"
    for name in ("tokens", "cost_micro_usd", "prompt_tokens", "completion_tokens"):
        if sum(day[name] for day in days) != sum(entry[name] or 0 for entry in settled):
            yield f"the days' {name} are not those of the entries"
