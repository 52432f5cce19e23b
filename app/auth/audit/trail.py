"""Write and read the rows of the audit trail.

They contain ids of keys and users, and limits, but no secrets or content.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from app.auth.audit.actors import Actor
from app.runtime import clock
from app.storage.database.connections.connection import Connection
from app.storage.database.connections.sql import Where, name_columns, write_insert
from app.storage.database.database import Database

_numbers = itertools.count()  # orders the rows of one millisecond

Action = Literal[
    "key.create",
    "key.rotate",
    "key.revoke",
    "token.revoke",
    "tokens.revoke_all",
    "limits.set",
    "limits.clear",
    "admin.login_url",
    "admin.sign_in",
    "admin.sign_out",
    "admin.end_sessions",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One change. `at` is UTC in milliseconds; `tenant` is None if the change belongs to no tenant."""

    id: str
    at: int
    actor: str
    address: str | None
    action: str
    tenant: str | None
    target: str
    details: Mapping[str, Any]


_COLUMNS = name_columns(AuditRow)


def record(
    connection: Connection,
    action: Action,
    target: str,
    *,
    by: Actor,
    tenant: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write a row in the transaction of the change, so that both are committed or neither."""
    at_ms = clock.now_ms()
    row = {
        "id": f"{at_ms:012x}{next(_numbers) & 0xFFFFFF:06x}{secrets.token_hex(4)}",
        "at": at_ms,
        "actor": by.name,
        "address": by.address,
        "action": action,
        "tenant": tenant,
        "target": target,
        "details": orjson.dumps(details or {}).decode(),
    }
    connection.execute(*write_insert("audit_trail", row))


class AuditTrail:
    """Reads the rows. Raises DatabaseUnavailable if the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_newest(self, limit: int, *, tenant: str | None = None, before: str = "") -> list[AuditRow]:
        """Return at most `limit` rows, the newest first, of one tenant or all, and before a row if given."""
        where = Where({"tenant": tenant})
        if before:
            where.add("id < ?", before)
        query = f"SELECT {_COLUMNS} FROM audit_trail {where} ORDER BY id DESC LIMIT ?"  # noqa: S608 - its values are bound
        with self._database.read_transaction() as connection:
            rows = connection.fetch_rows(query, (*where.values, limit))
        return [AuditRow(**{**row, "details": orjson.loads(row["details"])}) for row in rows]
