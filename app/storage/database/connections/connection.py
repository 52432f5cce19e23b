"""Run statements on SQLite or PostgreSQL with the same placeholders: a `?` for each value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Connection:
    """A connection within a transaction of Database.

    Attributes:
        raw: the driver's own connection.
    """

    __slots__ = ("_placeholder", "raw")

    def __init__(self, raw: Any, placeholder: str) -> None:
        self.raw = raw
        self._placeholder = placeholder

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Run one statement. Return the driver's cursor, whose rows are tuples.

        Args:
            sql: with a `?` for each value. It must not contain another `?`, or a `%`: pass these as values.
            values: in the order of their placeholders.
        """
        return self.raw.execute(sql.replace("?", self._placeholder), values)

    def fetch_rows(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Return the rows that a statement finds, as dictionaries by column name."""
        cursor = self.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def fetch_row(self, sql: str, values: Sequence[Any] = ()) -> dict[str, Any] | None:
        """Return the first row that a statement finds, as a dictionary; None if there is none."""
        rows = self.fetch_rows(sql, values)
        return rows[0] if rows else None

    def fetch_value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Return the first column of the first row that a statement finds; None if there is none."""
        row = self.execute(sql, values).fetchone()
        return None if row is None else row[0]
