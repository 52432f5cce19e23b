"""PostgresDriver: the ledger in PostgreSQL, for several machines. No wait for it is longer than the caller's patience."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen, PQGenConn
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.pool import QueuePool

from app.runtime import clock
from app.runtime.store_guard import Contended

RV = TypeVar("RV")

_POOL_SIZE = 8
_CONNECT_S = 1.0
_STATEMENT_S = 2.0
_MIGRATION_S = 60.0
_MIGRATION_LOCK = 0x6761746568
_SETTINGS = f"SET statement_timeout = {int(_STATEMENT_S * 1000)}; SET lock_timeout = 1500; SET idle_in_transaction_session_timeout = 10000"
# The server answered: a lock or a deadline was too long, or two waited for each other.
_CONTENDED = {"55P03", "57014", "40P01", "40001"}

# What the pool and psycopg do not pass on: until when the caller waits for a transaction, and for a connection.
_caller_limits = threading.local()


class BoundedConnection(psycopg.Connection[Any]):
    """Gives up by its own clock: a server that is frozen keeps neither to statement_timeout nor to TCP's limits."""

    deadline: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        if self.deadline is not None:
            timeout = max(0.0, self.deadline - clock.ticks())
        try:
            return super().wait(gen, interval=interval, timeout=timeout)
        except psycopg.errors._WaitTimeout as error:
            self.pgconn.finish()  # its answer may still come, to a question nobody remembers
            raise psycopg.OperationalError("timeout") from error

    @classmethod
    def _connect_gen(cls, conninfo: str = "") -> PQGenConn[Any]:
        # connect_timeout would be two seconds at least. This is asked again every tenth of a second.
        until: float = _caller_limits.connect_until
        steps = super()._connect_gen(conninfo)
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted
                if clock.ticks() >= until:
                    raise psycopg.OperationalError("timeout")
                wanted = steps.send(ready)
        except StopIteration as end:
            return end.value
        finally:
            steps.close()


class PostgresDriver:
    """Transactions at READ COMMITTED; readings see one moment."""

    name = "postgresql"
    has_one_writer = False
    placeholder = "%s"

    def __init__(self, url: URL) -> None:
        self._url = url
        self._slots = threading.BoundedSemaphore(_POOL_SIZE)
        self.engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            creator=self._connect,
            poolclass=QueuePool,
            pool_size=_POOL_SIZE,
            max_overflow=0,
            pool_timeout=_CONNECT_S,
            pool_use_lifo=True,
            isolation_level="AUTOCOMMIT",
            use_native_hstore=False,
        )

    @contextmanager
    def acquire_turn(self, deadline: float, *, writes: bool) -> Iterator[None]:  # noqa: ARG002
        # Here, as the pool's own queue knows nothing of deadlines.
        if not self._slots.acquire(timeout=max(0.0, deadline - clock.ticks())):
            raise Contended("contended")
        before = getattr(_caller_limits, "deadline", math.inf)
        _caller_limits.deadline = deadline
        try:
            yield
        finally:
            _caller_limits.deadline = before
            self._slots.release()

    def begin(self, raw: Any, deadline: float, *, writes: bool) -> None:
        raw.deadline = deadline
        mode = "READ COMMITTED READ WRITE" if writes else "REPEATABLE READ READ ONLY"
        raw.execute(f"BEGIN ISOLATION LEVEL {mode}")
        left_s = deadline - clock.ticks()
        if left_s > _STATEMENT_S:
            raw.execute(f"SET LOCAL statement_timeout = {int(left_s * 1000)}")

    def prepare(self, raw: Any, deadline: float) -> None:
        raw.deadline = deadline
        # A server that has closed this connection is noticed here, where it does no harm to try another one: first
        # there is its farewell to be read, then the end. Neither waits.
        raw.pgconn.consume_input()
        raw.pgconn.consume_input()

    def execute(self, raw: Any, sql: str, values: Sequence[Any], deadline: float) -> int:
        raw.deadline = deadline
        return int(raw.execute(sql, values).rowcount)

    def commit(self, raw: Any, deadline: float) -> None:
        raw.deadline = deadline
        raw.execute("COMMIT")

    def classify_error(self, error: BaseException) -> tuple[str, bool] | None:
        if not isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)):
            return None
        if error.sqlstate in _CONTENDED:
            return "contended", True
        return error.sqlstate or type(error).__name__, False

    def begin_migration(self, connection: Connection) -> None:
        raw = connection.connection.driver_connection
        assert isinstance(raw, BoundedConnection)
        raw.deadline = clock.ticks() + _MIGRATION_S
        raw.execute("BEGIN")
        raw.execute("SET LOCAL statement_timeout = 0")
        raw.execute("SET LOCAL lock_timeout = 0")
        raw.execute(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")

    def create(self) -> None:
        """The database is there, or is not ours to make."""

    def checkpoint(self) -> None:
        """It does so itself."""

    def close(self) -> None:
        self.engine.dispose()

    def _connect(self) -> BoundedConnection:
        url = self._url
        options: dict[str, Any] = {name: value for name, value in url.query.items() if isinstance(value, str)}
        named = {
            "host": url.host,
            "port": url.port,
            "user": url.username,
            "password": url.password,
            "dbname": url.database,
        }
        options |= {name: value for name, value in named.items() if value is not None}
        defaults: dict[str, Any] = {
            "tcp_user_timeout": 1500,
            "keepalives_idle": 30,
            "application_name": "gatehouse",
        }
        until = min(getattr(_caller_limits, "deadline", math.inf), clock.ticks() + _CONNECT_S)
        _caller_limits.connect_until = until
        raw = BoundedConnection.connect(make_conninfo(**(defaults | options)), autocommit=True)
        try:
            raw.deadline = until
            raw.execute(_SETTINGS)
        except BaseException:
            raw.close()
            raise
        return raw
