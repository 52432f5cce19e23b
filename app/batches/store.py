"""BatchStore: reads and writes the rows of batches. Each method is a transaction, unless it takes a connection."""

# ruff: noqa: S608  # only names of columns are formatted into statements

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import orjson

from app.batches.records import Batch, BatchOwner, SentRequest, map_running_status
from app.openai_service import UpstreamBatch
from app.runtime import clock
from app.storage.database.connections.connection import Connection
from app.storage.database.connections.sql import Where, write_insert, write_marks
from app.storage.database.database import Database

_COLUMNS = ", ".join("user_id" if field.name == "user" else field.name for field in fields(Batch))
# The status is `cancelling` from the request to cancel until the end.
_SET_STATUS = """
UPDATE batches SET status = CASE WHEN cancel_requested_at IS NULL THEN ? ELSE 'cancelling' END,
    upstream_id = ?, completed = ?, failed = ?, checked_at = ?, busy_until = 0
WHERE id = ? AND ended_at IS NULL
"""


class BatchStore:
    """The rows of batches. Every method may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, connection: Connection, batch: Batch, requests: Sequence[SentRequest], *, busy_until: int
    ) -> None:
        """Insert a batch, as part of the caller's transaction."""
        row = {
            "id": batch.id,
            "entry_id": batch.entry_id,
            "tenant": batch.tenant,
            "user_id": batch.user,
            "kind": batch.kind,
            "model": batch.model,
            "status": batch.status,
            "requests": _dump_requests(requests),
            "total": batch.total,
            "created_at": batch.created_at,
            "checked_at": batch.checked_at,
            "busy_until": busy_until,
        }
        connection.execute(*write_insert("batches", row))

    def get(self, batch_id: str, owner: BatchOwner | None = None) -> Batch | None:
        """Return a batch; None if it does not exist or belongs to another owner."""
        where = _visible_to(owner)
        where.add("id = ?", batch_id)
        with self._database.read_transaction() as connection:
            row = connection.fetch_row(f"SELECT {_COLUMNS} FROM batches {where}", where.values)
        return None if row is None else _batch_from_row(row)

    def get_requests(self, batch_id: str) -> list[SentRequest]:
        """Return the stored requests of a batch, in order."""
        with self._database.read_transaction() as connection:
            text = connection.fetch_value("SELECT requests FROM batches WHERE id = ?", (batch_id,))
        return _load_requests(text)

    def list_page(
        self, owner: BatchOwner | None, kinds: Sequence[str], *, limit: int, before: str | None = None
    ) -> list[Batch]:
        """Return a page of batches, newest first. If `before` is given, the page begins after that batch."""
        where = _visible_to(owner)
        where.add(f"kind IN ({write_marks(kinds)})", *kinds)
        if before is not None:
            where.add("id < ?", before)
        query = f"SELECT {_COLUMNS} FROM batches {where} ORDER BY id DESC LIMIT ?"
        with self._database.read_transaction() as connection:
            return [_batch_from_row(row) for row in connection.fetch_rows(query, (*where.values, limit))]

    def find_open(self, upstream_id: str) -> str | None:
        """Return the id of the open batch with this id at the upstream, if any."""
        query = "SELECT id FROM batches WHERE ended_at IS NULL AND upstream_id = ?"
        with self._database.read_transaction() as connection:
            found: str | None = connection.fetch_value(query, (upstream_id,))
        return found

    def list_open_ids(self) -> list[str]:
        """Return the ids of all open batches, the least recently checked one first."""
        query = "SELECT id FROM batches WHERE ended_at IS NULL ORDER BY checked_at"
        with self._database.read_transaction() as connection:
            return [id_ for (id_,) in connection.execute(query)]

    def claim(self, batch_id: str, *, lease_ms: int) -> Batch | None:
        """Lock an open batch for this process. Return None if it has ended or another process holds the lock."""
        now = clock.now_ms()
        claim = "UPDATE batches SET busy_until = ? WHERE id = ? AND ended_at IS NULL AND busy_until <= ?"
        with self._database.transaction() as connection:
            if connection.execute(claim, (now + lease_ms, batch_id, now)).rowcount == 0:
                return None
            row = connection.fetch_row(f"SELECT {_COLUMNS} FROM batches WHERE id = ?", (batch_id,))
        return None if row is None else _batch_from_row(row)

    def release(self, batch_id: str) -> None:
        """Unlock a batch without changing its status, because the upstream did not answer."""
        self._change(batch_id, busy_until=0, checked_at=clock.now_ms())

    def mark_lost(self, batch_id: str) -> None:
        """Mark a batch as failed because its outcome cannot be found out any more."""
        with self._database.transaction() as connection:
            self.end(connection, batch_id, status="failed")

    def set_status(self, batch_id: str, upstream: UpstreamBatch) -> None:
        """Store the upstream's progress and unlock the batch. Use end() to store its end."""
        progress = (map_running_status(upstream), upstream.id, upstream.completed, upstream.failed)
        with self._database.transaction() as connection:
            connection.execute(_SET_STATUS, (*progress, clock.now_ms(), batch_id))

    def request_cancel(self, batch_id: str) -> None:
        """Store the request to cancel a batch."""
        self._change(batch_id, cancel_requested_at=clock.now_ms(), status="cancelling")

    def end(self, connection: Connection, batch_id: str, **values: Any) -> None:
        """Store the outcome of a batch that has not ended yet, as part of the caller's transaction."""
        now = clock.now_ms()
        _change_open(connection, batch_id, ended_at=now, checked_at=now, busy_until=0, **values)

    def _change(self, batch_id: str, **values: Any) -> None:
        """Update a batch. A batch that has ended does not change."""
        with self._database.transaction() as connection:
            _change_open(connection, batch_id, **values)


def _change_open(connection: Connection, batch_id: str, **values: Any) -> None:
    changes = ", ".join(f"{name} = ?" for name in values)
    update = f"UPDATE batches SET {changes} WHERE id = ? AND ended_at IS NULL"
    connection.execute(update, (*values.values(), batch_id))


def _dump_requests(requests: Sequence[SentRequest]) -> str:
    """Return the requests as JSON. Each answer format is written only once, since it may be a large schema."""
    indexes: dict[str, int] = {}
    for sent in requests:
        if sent.answer_format:
            indexes.setdefault(sent.answer_format, len(indexes))
    rows: list[list[Any]] = [[sent.id, sent.max_input_tokens, sent.max_output_tokens] for sent in requests]
    if not indexes:
        return orjson.dumps(rows).decode()
    for row, sent in zip(rows, requests, strict=True):
        row.append(indexes[sent.answer_format])
    return orjson.dumps({"requests": rows, "formats": list(indexes)}).decode()


def _load_requests(text: str) -> list[SentRequest]:
    stored = orjson.loads(text)
    if isinstance(stored, list):
        return [SentRequest(*row) for row in stored]
    formats = stored["formats"]
    return [SentRequest(id_, input_, output, formats[index]) for id_, input_, output, index in stored["requests"]]


def _visible_to(owner: BatchOwner | None) -> Where:
    return Where() if owner is None else Where({"tenant": owner.tenant, "user_id": owner.user})


def _batch_from_row(row: dict[str, Any]) -> Batch:
    return Batch(user=row.pop("user_id"), **row)
