"""Use PostgreSQL, for several machines, with a deadline for every wait."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen, PQGenConn
from psycopg.conninfo import make_conninfo

from app.runtime import clock
from app.runtime.store_guard import Contended
from app.storage.database.connections.pool import Pool
from app.storage.database.connections.url import DatabaseUrl

RV = TypeVar("RV")

POOL_SIZE = 8
_CONNECT_S = 1.0
_STATEMENT_S = 2.0
_MIGRATION_S = 60.0
_MIGRATION_LOCK = 0x6761746568
_IDLE = psycopg.pq.TransactionStatus.IDLE
_SETTINGS = f"SET statement_timeout = {int(_STATEMENT_S * 1000)}; SET lock_timeout = 1500; SET idle_in_transaction_session_timeout = 10000"
# The server works, but a lock or statement timed out, or transactions deadlocked.
_CONTENDED = {"55P03", "57014", "40P01", "40001"}

# By SQLSTATE.
_ADVICE = {
    "25006": "PostgreSQL is read-only (a replica, or default_transaction_read_only): set DATABASE_URL to the primary",
    "28P01": "PostgreSQL refuses the password: check DATABASE_URL",
    "42501": "the user of DATABASE_URL may not write in PostgreSQL: make it the owner of the database and its tables",
    "28000": "PostgreSQL refuses the user of DATABASE_URL: check its name, and pg_hba.conf",
    "no_encryption": "PostgreSQL requires TLS, or has no entry for this user in pg_hba.conf: add ?sslmode=require to DATABASE_URL",
    "no_tls": "PostgreSQL does not offer TLS, which sslmode in DATABASE_URL requires: turn it on in PostgreSQL (ssl = on)",
    "untrusted": "the certificate of PostgreSQL is not accepted: check sslrootcert in DATABASE_URL, and that its host matches the name in the certificate",
    "not_postgresql": "the server at this address is not PostgreSQL: check the host and port in DATABASE_URL",
    "wrong_option": "an option of DATABASE_URL has a value that PostgreSQL's client does not know, such as sslmode: correct it",
    "3D000": "PostgreSQL has no such database: check DATABASE_URL",
    "53100": "the disk of PostgreSQL is full: free some space",
    "53300": "PostgreSQL has too many connections: raise max_connections, or start fewer workers",
    "OperationalError": "PostgreSQL cannot be reached: check that it runs, and DATABASE_URL",
}

# For a refused connection, libpq gives no SQLSTATE, only the server's text.
_REFUSALS = {
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    ", no encryption": "no_encryption",
    "no pg_hba.conf entry": "28000",
    "pg_hba.conf rejects": "28000",
    "Peer authentication failed": "28000",
    "server does not support SSL": "no_tls",
    "certificate verify failed": "untrusted",
    "root certificate file": "untrusted",
    "server certificate for": "untrusted",
    "invalid response to SSL negotiation": "not_postgresql",
    "invalid sslmode value": "wrong_option",
    'role "': "28000",
    'database "': "3D000",
    "too many clients": "53300",
    "remaining connection slots": "53300",
}

# The deadlines of the transaction and of connecting, which the pool and psycopg do not pass on.
_deadlines = threading.local()


class BoundedConnection(psycopg.Connection[Any]):
    """A connection with a deadline, as a frozen server observes neither statement_timeout nor TCP timeouts."""

    deadline: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait as psycopg does, until the deadline."""
        if self.deadline is not None:
            timeout = max(0.0, self.deadline - clock.ticks())
        try:
            return super().wait(gen, interval=interval, timeout=timeout)
        except psycopg.errors._WaitTimeout as error:
            self.pgconn.finish()  # else a late response would be read as that of the next statement
            raise psycopg.OperationalError("timeout") from error

    @classmethod
    def _connect_gen(cls, conninfo: str = "") -> PQGenConn[Any]:
        # libpq's connect_timeout is at least two seconds. psycopg resumes this generator every tenth of a second.
        deadline: float = _deadlines.connect
        steps = super()._connect_gen(conninfo)
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted
                if clock.ticks() >= deadline:
                    raise psycopg.OperationalError("timeout")
                wanted = steps.send(ready)
        except StopIteration as end:
            return end.value
        finally:
            steps.close()


class PostgresDriver:
    """Transactions on a server: READ COMMITTED to write, REPEATABLE READ (one snapshot) to read."""

    name = "postgresql"
    has_one_writer = False
    readers_pass_writers = True
    placeholder = "%s"

    def __init__(self, url: DatabaseUrl) -> None:
        """Prepare to connect on first use.

        Raises:
            ValueError: the URL has an option that PostgreSQL's client does not know.
        """
        try:
            make_conninfo(**dict.fromkeys(url.options, ""))
        except psycopg.ProgrammingError as error:
            raise ValueError(f"DATABASE_URL: {str(error).strip()}") from None
        self._url = url
        self._slots = threading.BoundedSemaphore(POOL_SIZE)
        self.pool = Pool(self._connect, POOL_SIZE, _CONNECT_S)

    @contextmanager
    def acquire_turn(self, deadline: float, *, writes: bool) -> Iterator[None]:  # noqa: ARG002
        """Wait for a slot. There are as many as connections in the pool, whose own queue has no deadline."""
        if not self._slots.acquire(timeout=max(0.0, deadline - clock.ticks())):
            raise Contended("contended")
        before = getattr(_deadlines, "transaction", math.inf)
        _deadlines.transaction = deadline
        try:
            yield
        finally:
            _deadlines.transaction = before
            self._slots.release()

    def begin(self, raw: Any, deadline: float, *, writes: bool) -> None:
        """Begin a transaction; extend statement_timeout if the deadline is later."""
        raw.deadline = deadline
        mode = "READ COMMITTED READ WRITE" if writes else "REPEATABLE READ READ ONLY"
        raw.execute(f"BEGIN ISOLATION LEVEL {mode}")
        left_s = deadline - clock.ticks()
        if left_s > _STATEMENT_S:
            raw.execute(f"SET LOCAL statement_timeout = {int(left_s * 1000)}")

    def begin_single(self, raw: Any, deadline: float) -> None:
        """Prepare the connection. A single statement is a transaction of its own, with one snapshot."""
        self.prepare(raw, deadline)

    def prepare(self, raw: Any, deadline: float) -> None:
        """Set the deadline, and raise if the server has closed the connection."""
        raw.deadline = deadline
        # Check before a statement is sent, while another connection can still be tried. The first call reads the
        # server's last message, the second the end of the stream. Neither waits.
        raw.pgconn.consume_input()
        raw.pgconn.consume_input()

    def execute(self, raw: Any, sql: str, values: Sequence[Any], deadline: float) -> int:
        """Run one statement. Return how many rows it changed or found."""
        raw.deadline = deadline
        return int(raw.execute(sql, values).rowcount)

    def commit(self, raw: Any, deadline: float) -> None:
        """Commit the transaction, if there is one."""
        raw.deadline = deadline
        if raw.pgconn.transaction_status != _IDLE:
            raw.execute("COMMIT")

    def classify_error(self, error: BaseException) -> tuple[str, bool] | None:
        """Return the SQLSTATE or another reason, and whether the server is available; None if it is not an outage."""
        outages = (
            psycopg.OperationalError,
            psycopg.InterfaceError,
            psycopg.InternalError,
            psycopg.errors.InsufficientPrivilege,  # a mistake in the setup, like a wrong password
        )
        if not isinstance(error, outages):
            return None
        if error.sqlstate in _CONTENDED:
            return "contended", True
        return error.sqlstate or _find_refusal(str(error)) or type(error).__name__, False

    def advise(self, reason: str) -> str | None:
        """Return what is wrong with the server and what to do; None if the reason is unknown."""
        return _ADVICE.get(reason)

    def begin_migration(self, raw: Any) -> None:
        """Begin a transaction with an advisory lock."""
        raw.deadline = clock.ticks() + _MIGRATION_S
        raw.execute("BEGIN")
        raw.execute("SET LOCAL statement_timeout = 0")
        raw.execute("SET LOCAL lock_timeout = 0")
        raw.execute(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")

    def create(self) -> None:
        """Do nothing: the administrator creates the database."""

    def checkpoint(self) -> None:
        """Do nothing: the server makes its own checkpoints."""

    def close(self) -> None:
        """Close the pool's connections."""
        self.pool.dispose()

    def describe_access(self) -> dict[str, str]:
        """Return the environment variables with which pg_dump, psql and so on reach this database."""
        options = self._get_options()
        # The defaults of libpq include the values of its environment variables.
        known = ((each.keyword.decode(), each.envvar, each.val) for each in psycopg.pq.Conninfo.get_defaults())
        values = (
            (variable, options.get(name, None if default is None else default.decode()))
            for name, variable, default in known
            if variable
        )
        return {variable.decode(): str(value) for variable, value in values if value is not None}

    def _get_options(self) -> dict[str, Any]:
        url = self._url
        named = {
            "host": url.host,
            "port": url.port,
            "user": url.user,
            "password": url.password,
            "dbname": url.database,
        }
        return {**url.options} | {name: value for name, value in named.items() if value is not None}

    def _connect(self) -> BoundedConnection:
        defaults: dict[str, Any] = {
            "tcp_user_timeout": 1500,
            "keepalives_idle": 30,
            "application_name": "gatehouse",
        }
        deadline = min(getattr(_deadlines, "transaction", math.inf), clock.ticks() + _CONNECT_S)
        _deadlines.connect = deadline
        raw = BoundedConnection.connect(make_conninfo(**(defaults | self._get_options())), autocommit=True)
        try:
            raw.deadline = deadline
            raw.execute(_SETTINGS)
        except BaseException:
            raw.close()
            raise
        return raw


def _find_refusal(text: str) -> str | None:
    return next((state for part, state in _REFUSALS.items() if part in text), None)
