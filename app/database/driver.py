"""Driver: what a Database needs to know of the kind of its store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from sqlalchemy import Connection, Engine


class Driver(Protocol):
    """Deadlines are times of `clock.ticks()`."""

    name: str
    """Its name in logs."""
    placeholder: str
    """What stands for a value in a statement's text."""
    has_one_writer: bool
    """Whether turn() lets one writer in at a time."""
    engine: Engine

    def acquire_turn(self, deadline: float, *, writes: bool) -> AbstractContextManager[None]:
        """Wait for this process's turn at the store. Raises Contended."""

    def begin(self, raw: Any, deadline: float, *, writes: bool) -> None:
        """Begin a transaction that ends by the deadline, or fails."""

    def prepare(self, raw: Any, deadline: float) -> None:
        """Make a connection ready for execute(); fails where it has died, or leads to a store that was moved."""

    def execute(self, raw: Any, sql: str, values: Sequence[Any], deadline: float) -> int:
        """Run one statement by the deadline, and return how many rows it changed or found.

        Raises:
            DatabaseUnavailable: it was not run, as the store had no turn for it.
        """

    def commit(self, raw: Any, deadline: float) -> None: ...

    def classify_error(self, error: BaseException) -> tuple[str, bool] | None:
        """What went wrong, and whether the store itself is well; None where it is not the store's fault."""

    def begin_migration(self, connection: Connection) -> None:
        """Begin a transaction that no other process migrates in, however long it takes."""

    def create(self) -> None:
        """Make what the store is kept in, where that is missing."""

    def checkpoint(self) -> None:
        """What is to be done about once a second, and may take a while."""

    def close(self) -> None: ...
