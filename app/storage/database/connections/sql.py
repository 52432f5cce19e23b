"""Build SQL statements. Only names that are known to this program get into the text; values are bound."""

# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import fields
from typing import Any

Statement = tuple[str, tuple[Any, ...]]
"""A statement's text with a `?` for each value, and the values."""


class Where:
    """A WHERE clause: conditions joined by AND, and the values of their placeholders."""

    def __init__(self, equal: Mapping[str, Any] | None = None) -> None:
        """Begin with columns that must equal a value; columns with None are left out."""
        self.values: list[Any] = []
        self._conditions: list[str] = []
        for name, value in (equal or {}).items():
            if value is not None:
                self.add(f"{name} = ?", value)

    def add(self, condition: str, *values: Any) -> None:
        """Add a condition with a `?` for each value."""
        self._conditions.append(condition)
        self.values += values

    def __str__(self) -> str:
        return f"WHERE {' AND '.join(self._conditions)}" if self._conditions else ""


def name_columns(record: type) -> str:
    """Return the columns of a dataclass's fields, for SELECT. Not `*`, as a newer version's table may have more."""
    return ", ".join(field.name for field in fields(record))


def write_marks(values: Sized) -> str:
    """Return the placeholders of the values of an IN (…). Without values, the IN matches nothing."""
    return ", ".join("?" * len(values)) or "NULL"


def write_insert(table: str, row: Mapping[str, Any]) -> Statement:
    """Return the statement that inserts a row, given by column name."""
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({write_marks(row)})", tuple(row.values())


def write_upsert(table: str, key: Mapping[str, Any], values: Mapping[str, Any]) -> Statement:
    """Return the statement that inserts a row, or updates the values of the row that has this key."""
    insert, row = write_insert(table, {**key, **values})
    changes = ", ".join(f"{name} = excluded.{name}" for name in values)
    return f"{insert} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}", row
