"""Driver: what Database needs from each kind of database."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from app.storage.database.connections.pool import Pool


class Driver(Protocol):
    """A kind of database. `raw` is a DBAPI connection. Deadlines are times of `clock.ticks()`."""

    name: str
    """Its name in logs."""
    placeholder: str
    """The placeholder of a value in a statement."""
    has_one_writer: bool
    """Whether acquire_turn() admits one writer at a time."""
    readers_pass_writers: bool
    """Whether read transactions can run while a write transaction holds its lock."""
    pool: Pool

    def acquire_turn(self, deadline: float, *, writes: bool) -> AbstractContextManager[None]:
        """Wait for this process's turn to use the database. Raises Contended."""

    def begin(self, raw: Any, deadline: float, *, writes: bool) -> None:
        """Begin a transaction that fails if it outlasts the deadline."""

    def begin_single(self, raw: Any, deadline: float) -> None:
        """Prepare for one reading statement, which fails if it outlasts the deadline."""

    def prepare(self, raw: Any, deadline: float) -> None:
        """Prepare a connection for execute(). Raise if it is dead or its file was moved."""

    def execute(self, raw: Any, sql: str, values: Sequence[Any], deadline: float) -> int:
        """Run one statement before the deadline. Return how many rows it changed or found.

        Raises:
            DatabaseUnavailable: the database stayed busy, and the statement was not run.
        """

    def commit(self, raw: Any, deadline: float) -> None:
        """Commit the transaction."""

    def classify_error(self, error: BaseException) -> tuple[str, bool] | None:
        """Return the reason and whether the database is available; None if the error is not an outage."""

    def advise(self, reason: str) -> str | None:
        """Return a sentence for the operator: what is wrong and what to do; None if there is none for the reason."""

    def begin_migration(self, raw: Any) -> None:
        """Begin a transaction that excludes all other migrations, without the usual time limits."""

    def create(self) -> None:
        """Create the database's file, if it has one and it is missing."""

    def checkpoint(self) -> None:
        """Sync and shorten the write-ahead log, if there is one. This may take a while."""

    def close(self) -> None:
        """Close all connections."""
