"""Write rows of tables, as a test wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.storage.database.connections.connection import Connection

_AT_ONCE = 200


def add_rows(connection: Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows, all of the columns that the first one has."""
    names = list(rows[0])
    marks = f"({', '.join('?' * len(names))})"
    for at in range(0, len(rows), _AT_ONCE):
        some = rows[at : at + _AT_ONCE]
        values = [row[name] for row in some for name in names]
        connection.execute(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([marks] * len(some))}", values
        )
