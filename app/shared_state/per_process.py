"""PerProcess: a value of which each process makes its own, also after a fork."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from app.runtime import process

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Made when it is first asked for in a process.

    What the parent made stays referenced in a child and is never used or closed there: closing a SQLite
    connection that came through a fork can damage the file (https://sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: dict[int, T] = {}

    def get(self) -> T:
        pid = process.pid
        value = self._values.get(pid)
        return value if value is not None else self._values.setdefault(pid, self._make())
