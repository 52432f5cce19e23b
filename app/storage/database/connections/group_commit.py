"""Run statements that are ready in the same turn of gevent's loop in one SQLite transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gevent import getcurrent, spawn
from gevent.event import AsyncResult

from app.runtime import clock
from app.runtime.turns import others_are_ready
from app.storage.database import database as databases
from app.storage.database.database import Database, DatabaseUnavailable
from app.storage.database.outages import to_unavailable


class GroupCommit:
    """Runs the statements of all greenlets that are ready in one turn of gevent's loop in one transaction.

    Each statement has its own outcome, as if it ran alone: if it changes no row or raises an error, the others are not
    affected. No greenlet gets an outcome before the commit. If no other greenlet is ready, the statement runs at once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._group: list[_Statement] = []
        """The statements of the next transaction."""

    def execute(self, sql: str, values: Sequence[Any]) -> int:
        """Run one statement: see Database.execute(). If the greenlet is killed meanwhile, it may have run or not."""
        if not others_are_ready():
            return self._database.execute(sql, values)
        statement = _Statement(sql, values)
        self._group.append(statement)
        if len(self._group) == 1:
            spawn(self._run_group)  # in the next turn
        return statement.wait()

    def _run_group(self) -> None:
        """Run the statements of the group and set their outcomes, in a greenlet that outlives those that wait."""
        group, self._group = self._group, []
        try:
            outcomes = self._commit(group) if len(group) > 1 else [self._run_alone(group[0])]
        except DatabaseUnavailable as error:
            for statement in group:  # a new exception for each, as each collects a traceback
                statement.fail(type(error)(str(error), is_unsure=error.is_unsure, advice=error.advice))
        except Exception as error:
            for statement in group:
                statement.fail(error)
        else:
            for statement, outcome in zip(group, outcomes, strict=True):
                statement.end(outcome)

    def _run_alone(self, statement: _Statement) -> int:
        if statement.is_abandoned:
            return 0
        statement.runner = getcurrent()
        return self._database.execute(statement.sql, statement.values, statement.deadline - clock.ticks())

    def _commit(self, group: Sequence[_Statement]) -> list[int | Exception]:
        deadline = group[0].deadline  # the earliest
        with self._database.transaction(deadline - clock.ticks()) as connection:
            return [self._run(connection.raw, statement, deadline) for statement in group]

    def _run(self, raw: Any, statement: _Statement, deadline: float) -> int | Exception:
        """Run one statement of a transaction. Return how many rows it changed, or an error that affects only it."""
        if statement.is_abandoned:
            return 0
        driver = self._database.driver
        try:
            return driver.execute(raw, statement.sql, statement.values, deadline)
        except Exception as error:
            # After some errors, such as SQLITE_NOMEM, SQLite has rolled back the whole transaction.
            if to_unavailable(driver, error) is not None or not raw.in_transaction:
                raise
            return error


class _Statement:
    """A statement whose greenlet waits for its outcome.

    Attributes:
        deadline: when its time limit ends, by clock.ticks().
        is_abandoned: whether its greenlet no longer waits, so that it must not be run.
        runner: the greenlet that runs it alone, if one does.
    """

    def __init__(self, sql: str, values: Sequence[Any]) -> None:
        self.sql = sql
        self.values = values
        self.deadline = clock.ticks() + databases.TIMEOUT_S
        self.is_abandoned = False
        self.runner: Any = None
        self._outcome: Any = AsyncResult()

    def wait(self) -> int:
        """Return how many rows the statement changed, or raise its error."""
        try:
            count: int = self._outcome.get()
        except BaseException:  # such as GreenletExit, when gevent kills the greenlet
            self.is_abandoned = True
            # The caller may now undo the statement. So it must not run later than that, if it still waits for its turn.
            if self.runner is not None:
                self.runner.kill(block=False)
            raise
        return count

    def end(self, outcome: int | Exception) -> None:
        """Wake the greenlet."""
        if isinstance(outcome, Exception):
            self.fail(outcome)
        else:
            self._outcome.set(outcome)

    def fail(self, error: Exception) -> None:
        """Wake the greenlet with an error."""
        self._outcome.set_exception(error)
