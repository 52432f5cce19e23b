"""Count the SQL statements that SQLite executes: the number is the same on each machine, so a test can check it."""

import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

_MODULES = ("sqlite3", "sqlite3.dbapi2", "pysqlite3", "pysqlite3.dbapi2")


@contextmanager
def count_sql_statements() -> Iterator[list[str]]:
    """Collect the text of each statement that a connection opened inside the block is given.

    Open the application inside the block, call it once to warm it up, clear the list, and call it again. BEGIN and
    COMMIT count. What a trigger does belongs to the statement that fires it. Statements of background threads are
    collected too.

    Yields:
        The statements so far, in their order, of all connections.
    """
    statements: list[str] = []
    with ExitStack() as stack:
        for name in _MODULES:
            try:
                module = importlib.import_module(name)
            except ImportError:
                continue
            stack.enter_context(patch.object(module, "connect", _counting(module.connect, module, statements)))
        yield statements


def _counting(connect: Any, module: Any, statements: list[str]) -> Any:
    class Cursor(module.Cursor):
        def execute(self, sql: str, *parameters: Any) -> Any:
            statements.append(sql)
            return super().execute(sql, *parameters)

        def executemany(self, sql: str, rows: Any) -> Any:
            statements.append(sql)
            return super().executemany(sql, rows)

        def executescript(self, script: str) -> Any:
            statements.append(script)
            return super().executescript(script)

    class Connection(module.Connection):
        def cursor(self, *factory: Any) -> Any:
            return super().cursor(*factory or (Cursor,))

        # Not every version's own come by cursor().
        def execute(self, *arguments: Any) -> Any:
            return self.cursor().execute(*arguments)

        def executemany(self, *arguments: Any) -> Any:
            return self.cursor().executemany(*arguments)

        def executescript(self, *arguments: Any) -> Any:
            return self.cursor().executescript(*arguments)

        def commit(self) -> None:
            if self.in_transaction:
                statements.append("COMMIT")
            super().commit()

        def rollback(self) -> None:
            if self.in_transaction:
                statements.append("ROLLBACK")
            super().rollback()

    def connect_counting(*arguments: Any, factory: Any = module.Connection, **options: Any) -> Any:
        class Counted(Connection, factory):
            pass

        return connect(*arguments, factory=Counted, **options)

    return connect_counting
