"""Create a value separately in each process, also after a fork."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from app.runtime import process

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A value that each process creates on its first get().

    A child neither uses nor closes its parent's value: closing an inherited SQLite connection can damage the file.

    Source: https://sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_
    """

    def __init__(self, create: Callable[[], T]) -> None:
        self._create = create
        self._values: dict[int, T] = {}

    def get(self) -> T:
        """Return this process's value."""
        pid = process.pid
        try:
            return self._values[pid]
        except KeyError:
            return self._values.setdefault(pid, self._create())
