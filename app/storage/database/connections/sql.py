"""Compose statements of parts. Only names that this program knows get into the text; values are bound."""

# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Mapping, Sized
from dataclasses import fields
from typing import Any

Statement = tuple[str, tuple[Any, ...]]
"""A statement's text with a `?` for each value, and the values."""


class Where:
    """Conditions that are all to be met, and the values of their placeholders."""

    def __init__(self, wanted: Mapping[str, Any] | None = None) -> None:
        """Begin with the values that columns are to have; a None means any."""
        self.values: list[Any] = []
        self._conditions: list[str] = []
        for name, value in (wanted or {}).items():
            if value is not None:
                self.add(f"{name} = ?", value)

    def add(self, condition: str, *values: Any) -> None:
        """Add a condition with a `?` for each value."""
        self._conditions.append(condition)
        self.values += values

    def __str__(self) -> str:
        return f"WHERE {' AND '.join(self._conditions)}" if self._conditions else ""


def name_columns(record: type) -> str:
    """Return the columns of a dataclass's fields. Not `*`: the table of a newer version may have more."""
    return ", ".join(field.name for field in fields(record))


def write_marks(values: Sized) -> str:
    """Return the placeholders of the values of an IN (…), which finds nothing if there are none."""
    return ", ".join("?" * len(values)) or "NULL"


def write_insert(table: str, row: Mapping[str, Any]) -> Statement:
    """Return the statement that adds a row, by the names of its columns."""
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({write_marks(row)})", tuple(row.values())


def write_upsert(table: str, key: Mapping[str, Any], values: Mapping[str, Any]) -> Statement:
    """Return the statement that adds a row, or gives the row that has its key these values."""
    insert, row = write_insert(table, {**key, **values})
    changes = ", ".join(f"{name} = excluded.{name}" for name in values)
    return f"{insert} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}", row
